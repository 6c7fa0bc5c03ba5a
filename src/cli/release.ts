import { userInfo } from 'node:os';
import { Metadata } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { type ReleaseVmResponse, VmServiceClient } from '../gen/vmwarden/v1/vm_service.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { call, deadline, withClient } from './grpc-client.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { vmJson } from './vms.js';

export interface ReleaseOptions {
  readonly actor: string;
  readonly reason: string;
  readonly json?: boolean;
}

/** Ends the hold of a VM. Rejects with the server's Fault. */
export const release = async (
  io: Io,
  socket: string,
  vmId: string,
  { actor, reason, json = false }: ReleaseOptions,
): Promise<number> => {
  const { vm } = await withClient(VmServiceClient, socket, (client) =>
    call<ReleaseVmResponse>((callback) =>
      client.releaseVm(
        { vmId, actor, reason, requestId: '' },
        new Metadata(),
        deadline(),
        callback,
      ),
    ),
  );
  if (json) await printJson(io.stdout, vm === undefined ? {} : vmJson(vm));
  else await printLine(io.stdout, `${plainText(vmId)} is released; its next event is acted on.`);
  return GOOD;
};

/** A uid that no passwd entry names, as containers have it, is told as a number. */
export const userName = (lookUp: () => { readonly username: string } = userInfo): string => {
  try {
    return lookUp().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
};

/** Adds `vmwarden release`. */
export const addReleaseCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('release')
      .description('end a hold: act on this VM again from its next event on')
      .argument('<vm>', 'id of the VM')
      .requiredOption('--reason <TEXT>', 'why; goes into the journal')
      .option('--actor <NAME>', 'who; goes into the journal (default: the user)')
      .option('--json', 'the VM as one JSON object'),
    ['data-dir', 'socket'],
  ).action(async (vm: string, flags: ConfigFlags & Partial<ReleaseOptions>) => {
    const loaded = await configOrExit(flags, process);
    const { reason = '', actor = userName(), json = false } = flags;
    process.exitCode =
      typeof loaded === 'number'
        ? loaded
        : await release(process, loaded.config.socket, vm, { actor, reason, json });
  });
};
