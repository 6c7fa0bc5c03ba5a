import type { Command } from 'commander';
import type {
  ReleaseHostRequest,
  ReleaseHostResponse,
  ReleaseVmRequest,
  ReleaseVmResponse,
} from '../gen/vmwarden/v1/vm_service.js';
import { GOOD, type Io, printJson, printLine, WRONG_USE } from './io.js';
import { addOperatorOptions, ask, type OperatorFlags, operatorFlags } from './operator-options.js';
import { plainText } from './plain-text.js';
import { vmJson } from './vms.js';

/** Ends the hold of a VM; null: of the host. Rejects with the server's Fault. */
export const release = async (
  io: Io,
  socket: string,
  vmId: string | null,
  {
    actor,
    reason,
    requestId = '',
    json = false,
  }: Omit<OperatorFlags, 'requestId'> & { requestId?: string },
): Promise<number> => {
  if (vmId === null) {
    await ask<ReleaseHostRequest, ReleaseHostResponse>(socket, (client) => client.releaseHost, {
      actor,
      reason,
      requestId,
    });
    if (json) await printJson(io.stdout, { host: { hold: null } });
    else await printLine(io.stdout, 'The host is released; guests that are down are answered now.');
    return GOOD;
  }
  const { vm, found } = await ask<ReleaseVmRequest, ReleaseVmResponse>(
    socket,
    (client) => client.releaseVm,
    {
      vmId,
      actor,
      reason,
      requestId,
    },
  );
  if (json) await printJson(io.stdout, { ...(vm === undefined ? {} : vmJson(vm)), found });
  else await printLine(io.stdout, plainText(`${vmId} is released; ${found}.`));
  return GOOD;
};

/** Adds `vmwarden release`. */
export const addReleaseCommand = (program: Command): void => {
  addOperatorOptions(
    program
      .command('release')
      .description(
        'end a hold: a guest that is down is answered now, another from its next event on',
      )
      .argument('[vm]', 'id of the VM')
      .option('--host', 'the host, instead of a VM'),
  ).action(async (vm: string | undefined, given: OperatorFlags & { host?: boolean }, command) => {
    process.exitCode = await vmOrHost(vm, given, command, release);
  });
};

type Carry = (io: Io, socket: string, vm: string | null, flags: OperatorFlags) => Promise<number>;

/** For commands on one VM, or with `--host` on the host. */
export const vmOrHost = async (
  vm: string | undefined,
  given: OperatorFlags & { readonly host?: boolean },
  command: Command,
  carry: Carry,
): Promise<number> => {
  if ((vm === undefined) === (given.host !== true)) {
    command.error('error: give either a VM or --host');
    return WRONG_USE;
  }
  const ready = await operatorFlags(given as OperatorFlags & { readonly [flag: string]: unknown });
  return typeof ready === 'number' ? ready : carry(process, ready.socket, vm ?? null, ready.flags);
};
