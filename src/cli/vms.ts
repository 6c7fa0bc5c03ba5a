import type { Command } from 'commander';
import { Contact, Phase } from '../gen/vmwarden/v1/record.js';
import type { Hold, Vm } from '../gen/vmwarden/v1/vm_service.js';
import { addConfigOptions, type ConfigFlags } from './config-options.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { readRecords } from './read-records.js';
import type { RecordSource } from './record-source.js';
import { styleOf } from './style.js';
import { table } from './table.js';

/** Prints the VMs in order of their ids. */
export const vms = async (
  io: Io,
  source: RecordSource,
  options: { readonly json?: boolean },
): Promise<number> => {
  const found = await source.vms();
  const hostHold = await source.hostHold();
  if (options.json === true) {
    const held = hostHold === null ? null : holdJson(hostHold);
    for (const vm of found) await printJson(io.stdout, { ...vmJson(vm), hostHold: held });
    return GOOD;
  }
  if (source.kind === 'journal') {
    await printLine(io.stderr, 'No vmwarden runs here; this is what its journal says.');
  }
  const style = styleOf(io.stdout, io.env);
  if (hostHold !== null) {
    const { since, actor, reason } = holdJson(hostHold);
    const text = `The host is held since ${since} by ${actor}: ${reason}. Nothing is done on its VMs by itself.`;
    await printLine(io.stdout, style('yellow', plainText(text)));
  }
  if (found.length === 0) {
    await printLine(io.stdout, 'No VM is known.');
    return GOOD;
  }
  const [head = '', ...rows] = table([HEAD, ...found.map(row)]);
  await printLine(io.stdout, style('bold', head));
  for (const [index, line] of rows.entries()) {
    await printLine(io.stdout, line);
    for (const warning of found[index]?.warnings ?? []) {
      await printLine(io.stdout, style('yellow', `  warning: ${plainText(warning)}`));
    }
  }
  return GOOD;
};

const HEAD = ['VM', 'DRIVER', 'CONTACT', 'STATE', 'BOOT', 'PHASE', 'NEXT', 'BUDGETS', 'WHY'];

const row = ({ id, state, budgets, nextAttempt }: Vm): string[] => [
  id,
  state?.driver || '-',
  contactOf(state?.contact),
  state?.state || '-',
  String(state?.bootEpoch ?? '-'),
  phaseOf(state?.phase),
  nextAttempt?.toISOString() ?? '-',
  budgets.map(({ name, used, limit }) => `${name} ${used}/${limit}`).join(', ') || '-',
  state?.reason ?? '',
];

export const vmJson = ({ id, state, incidentId, budgets, nextAttempt, warnings }: Vm) => ({
  id,
  uid: state?.uid ?? '',
  driver: state?.driver ?? '',
  contact: contactOf(state?.contact),
  state: state?.state ?? '',
  bootId: state?.bootId ?? '',
  bootEpoch: Number(state?.bootEpoch ?? 0),
  phase: phaseOf(state?.phase),
  reason: state?.reason ?? '',
  incidentId,
  budgets: budgets.map(({ name, used, limit, withinMs }) => ({
    name,
    used,
    limit,
    withinMs: Number(withinMs),
  })),
  nextAttempt: nextAttempt?.toISOString() ?? null,
  warnings,
});

export const holdJson = ({ heldAt, actor, reason }: Hold) => ({
  since: heldAt?.toISOString() ?? null,
  actor,
  reason,
});

const contactOf = (contact: Contact | undefined): string =>
  (Contact[contact ?? Contact.UNSPECIFIED] ?? 'unknown').toLowerCase();

const phaseOf = (phase: Phase | undefined): string =>
  (Phase[phase ?? Phase.UNSPECIFIED] ?? 'unknown').toLowerCase();

/** Adds `vmwarden vms`. */
export const addVmsCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('vms')
      .description('list the VMs of this host, and how they are')
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action((flags: ConfigFlags & { readonly json?: boolean }) =>
    readRecords(flags, (source) => vms(process, source, flags)),
  );
};
