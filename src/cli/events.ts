import { type Command, InvalidArgumentError } from 'commander';
import { sequencedRecordJson } from '../record/json.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { openSource } from './open-source.js';
import { plainText } from './plain-text.js';
import type { RecordQuery, RecordSource, Sequenced } from './record-source.js';
import { recordText } from './record-text.js';
import { type Style, styleOf } from './style.js';

export interface EventsOptions {
  readonly vm?: readonly string[];
  readonly kind?: readonly string[];
  readonly after?: bigint;
  /** 0: all. Counts records that the filters leave; without effect behind `after`. */
  readonly limit: number;
  readonly follow?: boolean;
  readonly json?: boolean;
}

/** Prints records, newest last. */
export const events = async (
  io: Io,
  source: RecordSource,
  options: EventsOptions,
): Promise<number> => {
  const { limit, after, follow = false } = options;
  const filter = { vms: options.vm ?? [], kinds: options.kind ?? [] };
  const print = printer(io, options.json === true);
  if (after !== undefined || limit === 0) {
    await all(source, { ...filter, after: after ?? 0n, newest: 0, follow }, print);
    return GOOD;
  }
  if (filter.vms.length === 0 && filter.kinds.length === 0) {
    await all(source, { ...filter, after: 0n, newest: limit, follow }, print);
    return GOOD;
  }
  const last = await source.newest(filter, limit);
  for (const sequenced of last) await print(sequenced);
  const from = last.at(-1)?.sequence ?? 0n;
  if (follow) await all(source, { ...filter, after: from, newest: 0, follow }, print);
  return GOOD;
};

const all = async (
  source: RecordSource,
  query: RecordQuery,
  print: (sequenced: Sequenced) => Promise<void>,
): Promise<void> => {
  for await (const sequenced of source.records(query)) await print(sequenced);
};

const printer = (io: Io, json: boolean): ((sequenced: Sequenced) => Promise<void>) => {
  if (json) {
    return ({ sequence, record }) => printJson(io.stdout, sequencedRecordJson(sequence, record));
  }
  const style = styleOf(io.stdout, io.env);
  return (sequenced) => printLine(io.stdout, eventLine(sequenced, style));
};

/** Columns of a fixed width, since a followed list has no end to align to. */
export const eventLine = ({ sequence, record }: Sequenced, style: Style): string => {
  const time = record.recordedAt;
  const at = time === undefined || Number.isNaN(time.getTime()) ? '-' : time.toISOString();
  return [
    style('dim', String(sequence).padStart(8)),
    style('dim', at.padEnd(24)),
    plainText(record.vmId === '' ? '-' : record.vmId).padEnd(16),
    style('bold', (record.body?.$case ?? '?').padEnd(8)),
    plainText(recordText(record)),
  ].join('  ');
};

/** Adds `vmwarden events`. */
export const addEventsCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('events')
      .description('list what was seen, decided and done')
      .option('-f, --follow', 'go on with what comes')
      .option('--vm <ID...>', 'only of these VMs')
      .option('--kind <KIND...>', 'only event, decision, step, vm, policy, operator, loss or host')
      .option('--after <SEQUENCE>', 'all records behind this one', sequenceOf)
      .option('-n, --limit <COUNT>', 'the newest so many; 0: all', countOf, 50)
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action(async (flags: ConfigFlags & EventsOptions) => {
    const loaded = await configOrExit(flags, process);
    if (typeof loaded === 'number') {
      process.exitCode = loaded;
      return;
    }
    const source = await openSource(loaded.config);
    try {
      process.exitCode = await events(process, source, flags);
    } finally {
      await source.close();
    }
  });
};

const sequenceOf = (text: string): bigint => {
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('Expected the sequence of a record, a whole number.');
};

const countOf = (text: string): number => {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number up to 999999.');
};
