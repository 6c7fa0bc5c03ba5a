import type { Fleet, FollowedItem, FollowOptions, Gap, RecordKind } from '../fleet/fleet.js';
import { timeOf } from '../fleet/read-stream.js';
import { sequencedRecordJson } from '../record/json.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { recordText } from './record-text.js';
import { type Style, styleOf } from './style.js';

export interface FleetTailOptions {
  readonly host?: readonly string[];
  readonly vm?: readonly string[];
  readonly kind?: readonly string[];
  readonly from: 'beginning' | 'now';
  readonly untilNewest?: boolean;
  readonly json?: boolean;
}

/** Prints the records of all hosts as they come. */
export const fleetTail = async (
  io: Io,
  fleet: Fleet,
  options: FleetTailOptions,
  signal?: AbortSignal,
): Promise<number> => {
  const style = styleOf(io.stdout, io.env);
  const warn = styleOf(io.stderr, io.env);
  const follow: FollowOptions = {
    from: options.from,
    untilNewest: options.untilNewest === true,
    filter: {
      hosts: options.host ?? [],
      vms: options.vm ?? [],
      kinds: (options.kind ?? []) as RecordKind[],
    },
    onTrouble: (trouble) => {
      const text =
        trouble === null ? 'Redis is back.' : `${plainText(trouble.message)}; trying on.`;
      io.stderr.write(`${warn('yellow', text)}\n`);
    },
    ...(signal === undefined ? {} : { signal }),
  };
  for await (const item of fleet.follow(follow)) {
    if (options.json === true) await printJson(io.stdout, tailJson(item));
    else await printLine(io.stdout, tailLine(item, style));
  }
  return GOOD;
};

/** A record as `vmwarden events --json` has it, with its host, journal and entry; or what is in its place. */
export const tailJson = (item: FollowedItem): object => {
  switch (item.kind) {
    case 'record': {
      const { host, journalId, entryId, sequence, record } = item;
      return { host, journalId, entryId, ...sequencedRecordJson(sequence, record) };
    }
    case 'gap':
      return item;
    case 'unreadable':
      return item;
  }
};

const tailLine = (item: FollowedItem, style: Style): string => {
  switch (item.kind) {
    case 'record': {
      const { host, sequence, record, entryId } = item;
      const at = record.recordedAt;
      const time = at === undefined || Number.isNaN(at.getTime()) ? timeOf(entryId) : at;
      return [
        style('dim', time.toISOString()),
        style('green', plainText(host).padEnd(16)),
        style('dim', String(sequence).padStart(8)),
        plainText(record.vmId === '' ? '-' : record.vmId).padEnd(16),
        style('bold', (record.body?.$case ?? '?').padEnd(8)),
        plainText(recordText(record)),
      ].join('  ');
    }
    case 'gap': {
      return style('yellow', plainText(`${item.host}: ${missingText(item)}`));
    }
    case 'unreadable':
      return style('red', plainText(`entry ${item.entryId} can't be read: ${item.reason}`));
  }
};

const missingText = ({ journalId, missing }: Gap): string => {
  switch (missing.cause) {
    case 'hole':
      return `records ${missing.first} to ${missing.last} are missing`;
    case 'loss':
      return `records ${missing.first} to ${missing.last} were lost: ${missing.reason}`;
    case 'journalChanged':
      return `journal ${journalId} follows ${missing.previousJournalId ?? 'another one'}`;
  }
};
