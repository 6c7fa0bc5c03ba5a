import type { Command } from 'commander';
import type { SequencedRecord } from '../gen/vmwarden/v1/record.js';
import { sequencedRecordJson } from '../record/json.js';
import { addConfigOptions, type ConfigFlags } from './config-options.js';
import { eventLine } from './events.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { readRecords } from './read-records.js';
import type { RecordSource } from './record-source.js';
import { styleOf } from './style.js';
import { vmJson } from './vms.js';

/** Why a VM was, or was not, acted on. Rejects with Faults. */
export const explain = async (
  io: Io,
  source: RecordSource,
  vmId: string,
  { incident = '', json = false }: { readonly incident?: string; readonly json?: boolean },
): Promise<number> => {
  const { vm, answer, explanation } = await source.explain(vmId, incident);
  const told = [
    explanation?.event,
    explanation?.decision,
    ...(explanation?.operators ?? []),
    ...(explanation?.steps ?? []),
  ].filter((record): record is SequencedRecord => record !== undefined);
  const records = told
    .flatMap(({ sequence, record }) => (record === undefined ? [] : [{ sequence, record }]))
    .sort((a, b) => Number(a.sequence - b.sequence));
  if (json) {
    await printJson(io.stdout, {
      vm: vm === undefined ? null : vmJson(vm),
      answer,
      incidentId: explanation?.incidentId ?? '',
      nextAttempt: explanation?.nextAttempt?.toISOString() ?? null,
      records: records.map(({ sequence, record }) => sequencedRecordJson(sequence, record)),
    });
    return GOOD;
  }
  if (source.kind === 'journal') {
    await printLine(io.stderr, 'No vmwarden runs here; this is what its journal says.');
  }
  await printLine(io.stdout, plainText(answer));
  const style = styleOf(io.stdout, io.env);
  for (const record of records) await printLine(io.stdout, eventLine(record, style));
  return GOOD;
};

/** Adds `vmwarden explain`. */
export const addExplainCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('explain')
      .description('say why a VM was, or was not, acted on, and when it will be next')
      .argument('<vm>', 'id of the VM')
      .option('--incident <ID>', 'this incident (default: the latest)')
      .option('--json', 'one JSON object'),
    ['data-dir', 'socket'],
  ).action((vm: string, flags: ConfigFlags & { incident?: string; json?: boolean }) =>
    readRecords(flags, (source) => explain(process, source, vm, flags)),
  );
};
