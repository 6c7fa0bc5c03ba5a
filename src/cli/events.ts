import { type Command, InvalidArgumentError } from 'commander';
import { EVENT_TYPES, type EventType } from '../event/event-type.js';
import { sequencedRecordJson } from '../record/json.js';
import { addConfigOptions, type ConfigFlags } from './config-options.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { readRecords } from './read-records.js';
import {
  letsAllThrough,
  type RecordQuery,
  type RecordSource,
  type Sequenced,
} from './record-source.js';
import { recordText } from './record-text.js';
import { type Style, styleOf } from './style.js';

export interface EventsOptions {
  readonly vm?: readonly string[];
  readonly kind?: readonly string[];
  readonly type?: readonly EventType[];
  readonly label?: Readonly<Record<string, string>>;
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
  const { vm: vms = [], kind: kinds = [], type: types = [], label: labels = {} } = options;
  const filter = { vms, kinds, types, labels };
  const print = printer(io, options.json === true);
  if (after !== undefined || limit === 0) {
    await all(source, { ...filter, after: after ?? 0n, newest: 0, follow }, print);
    return GOOD;
  }
  if (letsAllThrough(filter)) {
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
      .option('--type <TYPE...>', `only events of these types: ${EVENT_TYPES.join(', ')}`, typesOf)
      .option(
        '--label <KEY=VALUE...>',
        'only of VMs whose configuration has all of these labels',
        labelsOf,
      )
      .option('--after <SEQUENCE>', 'all records behind this one', sequenceOf)
      .option('-n, --limit <COUNT>', 'the newest so many; 0: all', countOf, 50)
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action((flags: ConfigFlags & EventsOptions) =>
    readRecords(flags, (source) => events(process, source, flags)),
  );
};

const sequenceOf = (text: string): bigint => {
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('Expected the sequence of a record, a whole number.');
};

const countOf = (text: string): number => {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number up to 999999.');
};

/** Commander gives each value with what the ones before made. */
const typesOf = (text: string, before: readonly EventType[] | undefined): readonly EventType[] => {
  const type = EVENT_TYPES.find((one) => one === text.toUpperCase());
  if (type === undefined) {
    throw new InvalidArgumentError(`Expected ${EVENT_TYPES.join(', ')}.`);
  }
  return [...(before ?? []), type];
};

const labelsOf = (
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> => {
  const at = text.indexOf('=');
  if (at > 0) return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  throw new InvalidArgumentError('Expected KEY=VALUE.');
};
