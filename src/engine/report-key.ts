import { createHash } from 'node:crypto';
import type { EventReport } from '../event/report.js';
import type { Disposition } from './engine.js';

/** For this long a repeated report is known again. */
export const KEY_KEPT_MS = 24 * 60 * 60 * 1000;

/** What is kept of a keyed report's first answer. */
export interface KnownReport {
  readonly sequence: number;
  readonly disposition: Disposition;
  /** Hash of everything that the reporter said; another content under the same key is a conflict. */
  readonly digest: string;
}

/** Row key of a report's key, null when it has none. Hashed: a reporter's text must not reach the row's size limit. */
export const reportRowKey = ({ key }: EventReport): string | null => {
  if (key === null) return null;
  const said =
    key.kind === 'request'
      ? ['request', key.requestId]
      : ['sequence', key.source, key.instance, key.sequence.toString()];
  return `key/${sha256(JSON.stringify(said))}`;
};

/** The same of an operator's request. */
export const requestRowKey = (requestId: string): string =>
  `key/${sha256(JSON.stringify(['operator', requestId]))}`;

export const reportDigest = ({ key: _key, ...said }: EventReport): string => contentDigest(said);

/** Equal for equal content, 64-bit words included. */
export const contentDigest = (content: object): string =>
  sha256(
    JSON.stringify(content, (_name, value: unknown) =>
      typeof value === 'bigint' ? `0x${value.toString(16)}` : value,
    ),
  );

export const encodeKnown = (known: KnownReport): Uint8Array => Buffer.from(JSON.stringify(known));

export const decodeKnown = (bytes: Uint8Array): KnownReport =>
  JSON.parse(Buffer.from(bytes).toString()) as KnownReport;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');
