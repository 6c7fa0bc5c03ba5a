/** What kind of failure it is; each has exactly one gRPC status. */
export type FaultCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'FAILED_PRECONDITION'
  | 'OUT_OF_RANGE'
  | 'RESOURCE_EXHAUSTED'
  | 'ABORTED'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL';

/** One thing wrong with an input: where it stands, what stood there, what was expected. */
export interface Violation {
  /** Path of the field, as its writer knows it: `raw.bytes.record`, `vms[0].socket`. */
  readonly field: string;
  /** The value as text, bounded and safe to print; absent when there was none. */
  readonly value?: string;
  readonly expected: string;
}

export interface FaultDetail {
  readonly violations?: readonly Violation[];
  /** The caller may try again after this long. */
  readonly retryAfterMs?: number;
  /** Facts for programs; values are text. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** The one error type for everything that a caller or an operator can cause or mend. */
export class Fault extends Error {
  readonly isFault = true;

  constructor(
    readonly code: FaultCode,
    /** Stable, in capitals: `JOURNAL_FULL`. Programs match on it; the message is for people. */
    readonly reason: string,
    message: string,
    readonly detail: FaultDetail = {},
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'Fault';
  }
}

/** True also for a Fault of another copy of this module. */
export const isFault = (error: unknown): error is Fault =>
  error instanceof Error && (error as Partial<Fault>).isFault === true;
