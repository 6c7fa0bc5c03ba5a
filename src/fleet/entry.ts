import { ENTRY_FIELDS, ENTRY_TYPE, SPEC_VERSION } from '../bus/redis/keys.js';
import { Record } from '../gen/vmwarden/v1/record.js';
import type { RecordIdentity } from './fleet.js';
import type { Marker } from './host-progress.js';

/** An entry of the stream as it is meant: whose record it is, and the record. */
export type Entry =
  | { readonly ok: true; readonly identity: RecordIdentity; readonly record: Record }
  /** `identity` as far as the entry says it. */
  | { readonly ok: false; readonly identity: RecordIdentity | null; readonly problem: string };

/** Parses the CloudEvents attributes and the protobuf of an entry: field, value, field, value, ... */
export const parseEntry = (fields: readonly Buffer[]): Entry => {
  const values = new Map<string, Buffer>();
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [name, value] = [fields[index], fields[index + 1]];
    if (name !== undefined && value !== undefined) values.set(name.toString('latin1'), value);
  }
  const text = (name: keyof typeof ENTRY_FIELDS) => values.get(ENTRY_FIELDS[name])?.toString();
  const identity = identityOf(text('source'), text('id'));
  const wrong = (problem: string): Entry => ({ ok: false, identity, problem });
  if (text('specversion') !== SPEC_VERSION) {
    return wrong(`specversion is ${quote(text('specversion'))}; expected ${SPEC_VERSION}`);
  }
  if (text('type') !== ENTRY_TYPE) {
    return wrong(`type is ${quote(text('type'))}; expected ${ENTRY_TYPE}`);
  }
  if (identity === null) {
    return wrong(
      `source and id are ${quote(text('source'))} and ${quote(text('id'))}; expected /vmwarden/<host> and <journal id>:<sequence>`,
    );
  }
  const data = values.get(ENTRY_FIELDS.data);
  if (data === undefined) return wrong('there is no data');
  try {
    return { ok: true, identity, record: Record.decode(data) };
  } catch (error) {
    return wrong(`data is no record: ${error instanceof Error ? error.message : String(error)}`);
  }
};

/** A loss that reaches up to its own record stands in the place of what was lost; others tell of it elsewhere. */
export const markerOf = ({ body }: Record, sequence: number): Marker | null => {
  if (body?.$case !== 'loss' || body.value.lastSequence !== BigInt(sequence)) return null;
  return { first: Math.min(Number(body.value.firstSequence), sequence), reason: body.value.reason };
};

const SOURCE = /^\/vmwarden\/([^/]{1,1024})$/;
const ID = /^([0-9a-zA-Z-]{1,64}):([1-9]\d{0,15})$/;

const identityOf = (source = '', id = ''): RecordIdentity | null => {
  const host = decoded(SOURCE.exec(source)?.[1]);
  const [, journalId, digits] = ID.exec(id) ?? [];
  const sequence = Number(digits);
  if (host === null || journalId === undefined || !Number.isSafeInteger(sequence)) return null;
  return { host, journalId, sequence };
};

/** null: not a host's name. */
const decoded = (text: string | undefined): string | null => {
  try {
    const host = decodeURIComponent(text ?? '');
    return host === '' || host.includes('/') ? null : host;
  } catch {
    return null;
  }
};

const quote = (text: string | undefined): string =>
  text === undefined ? 'absent' : JSON.stringify(text.slice(0, 100));
