import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import type { Any } from '../gen/google/protobuf/any.js';
import { BadRequest, ErrorInfo, RetryInfo } from '../gen/google/rpc/error_details.js';
import { Status } from '../gen/google/rpc/status.js';
import { Fault, isFault, type Violation } from '../lib/fault.js';

/** `domain` of every ErrorInfo. */
export const ERROR_DOMAIN = 'vmwarden.dev';

// Trailers must fit the 8 KiB to 16 KiB that clients take as a header list, base64 included.
const MAX_MESSAGE = 1024;
const MAX_TEXT = 256;
const MAX_VIOLATIONS = 8;

/** What a caller gets for `error`. Anything that isn't a Fault is a defect: it is told apart, not told about. */
export const statusFromError = (error: unknown): StatusObject => {
  const message = statusMessage(error);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(message).finish()));
  return { code: message.code, details: message.message, metadata };
};

/** The same as a message, for acks that bear an error while their stream lives. */
export const statusMessage = (error: unknown): Status => {
  const fault = isFault(error)
    ? error
    : new Fault('INTERNAL', 'INTERNAL_ERROR', 'vmwarden failed; its log says why');
  const message = wellFormed(fault.message, MAX_MESSAGE);
  return { code: status[fault.code], message, details: details(fault) };
};

const details = (fault: Fault): Any[] => {
  const { violations = [], retryAfterMs, metadata = {} } = fault.detail;
  const info = ErrorInfo.encode({
    reason: fault.reason,
    domain: ERROR_DOMAIN,
    metadata: Object.fromEntries(
      Object.entries(metadata)
        .slice(0, 16)
        .map(([key, value]) => [key, wellFormed(value, MAX_TEXT)]),
    ),
  }).finish();
  const all = [any('google.rpc.ErrorInfo', info)];
  if (violations.length > 0) {
    const fieldViolations = violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      field: wellFormed(violation.field, MAX_TEXT),
      description: wellFormed(describeViolation(violation), MAX_TEXT),
      reason: fault.reason,
    }));
    all.push(any('google.rpc.BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  }
  if (retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(retryAfterMs / 1000)),
      nanos: Math.round(retryAfterMs % 1000) * 1_000_000,
    };
    all.push(any('google.rpc.RetryInfo', RetryInfo.encode({ retryDelay }).finish()));
  }
  return all;
};

/** One sentence: what stood there, and what was expected. */
export const describeViolation = ({ value, expected }: Violation): string =>
  value === undefined ? `expected ${expected}` : `got ${value}, expected ${expected}`;

const any = (type: string, value: Uint8Array): Any => ({
  typeUrl: `type.googleapis.com/${type}`,
  value: Buffer.from(value),
});

/** grpc-js sends details through encodeURI, which throws on half of a surrogate pair. */
const wellFormed = (text: string, max: number): string =>
  Buffer.from(text.length > max ? `${text.slice(0, max - 3)}...` : text).toString();
