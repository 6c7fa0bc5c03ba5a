import type { Command } from 'commander';
import type {
  HoldHostRequest,
  HoldHostResponse,
  HoldVmRequest,
  HoldVmResponse,
} from '../gen/vmwarden/v1/vm_service.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { addOperatorOptions, ask, type OperatorFlags } from './operator-options.js';
import { plainText } from './plain-text.js';
import { vmOrHost } from './release.js';
import { vmJson } from './vms.js';

/** Holds a VM; null: the host. Rejects with the server's Fault. */
export const hold = async (
  io: Io,
  socket: string,
  vmId: string | null,
  { actor, reason, requestId, json = false }: OperatorFlags,
): Promise<number> => {
  if (vmId === null) {
    const { host } = await ask<HoldHostRequest, HoldHostResponse>(
      socket,
      (client) => client.holdHost,
      {
        actor,
        reason,
        requestId,
      },
    );
    const since = host?.hold?.heldAt?.toISOString() ?? null;
    if (json) await printJson(io.stdout, { host: { hold: { since, actor, reason } } });
    else await printLine(io.stdout, 'The host is held; nothing is done on its VMs by itself.');
    return GOOD;
  }
  const { vm } = await ask<HoldVmRequest, HoldVmResponse>(socket, (client) => client.holdVm, {
    vmId,
    actor,
    reason,
    requestId,
  });
  if (json) await printJson(io.stdout, vm === undefined ? {} : vmJson(vm));
  else await printLine(io.stdout, plainText(`${vmId} is held; nothing is done on it by itself.`));
  return GOOD;
};

/** Adds `vmwarden hold`. */
export const addHoldCommand = (program: Command): void => {
  addOperatorOptions(
    program
      .command('hold')
      .description('do nothing on this VM, or on the host, until it is released')
      .argument('[vm]', 'id of the VM')
      .option('--host', 'the host, instead of a VM'),
  ).action(async (vm: string | undefined, given: OperatorFlags & { host?: boolean }, command) => {
    process.exitCode = await vmOrHost(vm, given, command, hold);
  });
};
