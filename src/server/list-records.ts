import type { GetRecordRequest, ListRecordsRequest } from '../gen/vmwarden/v1/event_service.js';
import type { Journal } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import { sha256 } from '../lib/sha256.js';
import { encodePage, encodeRecord } from './encode-records.js';
import { createFieldCheck, type FieldCheck, quoted } from './field-check.js';
import { pageBackward, pageForward } from './page-records.js';
import { recordFilter, type VmLabels } from './record-filter.js';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
const ORDERS = ['', 'sequence', 'sequence desc'];

/** An encoded ListRecordsResponse. */
export const listRecords = async (
  journal: Journal,
  request: ListRecordsRequest,
  labels: VmLabels,
): Promise<Uint8Array> => {
  const check = createFieldCheck();
  const size = pageSize(request.pageSize, check);
  if (!ORDERS.includes(request.orderBy)) {
    check.add('order_by', quoted(request.orderBy), '"sequence" or "sequence desc"');
  }
  const filter = recordFilter(request, labels, check);
  const digest = sha256(
    JSON.stringify([
      request.orderBy === 'sequence' ? '' : request.orderBy,
      ...[request.vmIds, request.kinds, request.eventTypes, request.incidentId],
      Object.entries(request.labels).sort(),
    ]),
  ).slice(0, 16);
  const from = request.pageToken === '' ? null : readToken(request.pageToken);
  if (from === 'malformed' || (from !== null && from.digest !== digest)) {
    const expected =
      from === 'malformed'
        ? 'the nextPageToken of an earlier answer'
        : 'the filters and the order of the request that gave the token';
    check.add('page_token', quoted(request.pageToken), expected);
  }
  check.done('The records can not be listed so');
  if (from === 'malformed') throw new Error('a violation was added, so the check has thrown');
  if (from !== null) sameJournal(journal, from.journalId);

  const { oldest, newest } = journal.status();
  const page =
    request.orderBy === 'sequence desc'
      ? await pageBackward(journal, filter, size, from?.at ?? newest + 1)
      : await pageForward(journal, filter, size, from?.at ?? Math.max(0, oldest - 1));
  const next = page.next === null ? '' : writeToken(journal.id, page.next, digest);
  return encodePage(journal.id, page.records, next);
};

/** An encoded GetRecordResponse. */
export const getRecord = async (
  journal: Journal,
  { sequence, journalId }: GetRecordRequest,
): Promise<Uint8Array> => {
  sameJournal(journal, journalId);
  if (sequence === 0n) {
    const check = createFieldCheck();
    check.add('sequence', '0', 'the sequence of a record, from 1 on');
    check.done('There is no such record');
  }
  const { newest } = journal.status();
  const unknown = () =>
    new Fault('NOT_FOUND', 'RECORD_UNKNOWN', `The newest record is ${newest}, not ${sequence}`, {
      metadata: { newest: String(newest) },
    });
  if (sequence > BigInt(newest)) throw unknown();
  const { records } = await journal.read({ after: Number(sequence) - 1, limit: 1 });
  const [record] = records;
  if (record === undefined) throw unknown();
  return encodeRecord(journal.id, record);
};

/** Faults: OTHER_JOURNAL. Empty: the caller did not say. */
export const sameJournal = (journal: Journal, journalId: string): void => {
  if (journalId === '' || journalId === journal.id) return;
  throw new Fault(
    'FAILED_PRECONDITION',
    'OTHER_JOURNAL',
    'This host has another journal now; its sequences start afresh, so begin at 0',
    { metadata: { journalId: journal.id } },
  );
};

/** 0: the default. */
export const pageSize = (size: number, check: FieldCheck): number => {
  if (size < 0 || size > MAX_PAGE) {
    check.add('page_size', String(size), `0 to ${MAX_PAGE}; 0 means ${DEFAULT_PAGE}`);
  }
  return size === 0 ? DEFAULT_PAGE : size;
};

interface Token {
  readonly journalId: string;
  readonly at: number;
  readonly digest: string;
}

const writeToken = (journalId: string, at: number, digest: string): string =>
  Buffer.from(`${journalId}:${at}:${digest}`).toString('base64url');

const readToken = (token: string): Token | 'malformed' => {
  const text = token.length > 256 ? '' : Buffer.from(token, 'base64url').toString();
  const [, journalId = '', at = '', digest = ''] =
    /^([0-9a-f]{1,64}):(\d{1,15}):([\w-]{16})$/.exec(text) ?? [];
  return journalId === '' ? 'malformed' : { journalId, at: Number(at), digest };
};
