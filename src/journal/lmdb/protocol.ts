import { Fault, type FaultCode } from '../../lib/fault.js';
import type { Sequence } from '../journal.js';
import type { Owner } from './format.js';

/** What the handle and its writer thread say to each other. */

export interface WriterData {
  readonly dir: string;
  readonly reserveBytes: number;
  /** Name of the socket by which the owner is known to live. */
  readonly socket: string;
  /** For a directory without a journal. */
  readonly newId: string;
  readonly faults?: Int32Array;
}

/**
 * `faults`, for tests: a commit whose first sequence is in slot 0 fails; slot 1 not 0: the next one kills the
 * thread; slot 2 counts those that failed, and who waits for it is told.
 */
export const FAULT_AT = 0;
export const FAULT_KILL = 1;
export const FAULT_COUNT = 2;

export type ToWriter =
  /** Take the directory over from the owner with this socket, who is dead. */
  | { readonly kind: 'claim'; readonly over: string }
  /** A batch of another epoch than the writer's was built on a commit that failed since. */
  | { readonly kind: 'commits'; readonly epoch: number; readonly batch: Uint8Array }
  | { readonly kind: 'sweep'; readonly nowMs: number }
  | { readonly kind: 'close' };

export type FromWriter =
  | { readonly kind: 'owned'; readonly owner: Owner }
  | {
      readonly kind: 'ready';
      readonly id: string;
      readonly oldest: Sequence;
      readonly newest: Sequence;
      /** The dead owner's socket, to be cleared away. */
      readonly replaced: string | null;
    }
  | { readonly kind: 'unusable'; readonly fault: PlainFault }
  | Settled
  /** The space of all records up to here can be used again. */
  | { readonly kind: 'dropped'; readonly through: Sequence }
  | { readonly kind: 'closed' };

export interface Settled {
  readonly kind: 'settled';
  /** So many of the oldest commits under way are durable. */
  readonly count: number;
  /** The one behind them failed; the writer's epoch went up by one. */
  readonly fault: PlainFault | null;
  /** It was refused since free space is below the reserve. */
  readonly belowReserve: boolean;
}

/** Errors lose their own fields on the way between threads. */
export interface PlainFault {
  readonly code: FaultCode;
  readonly reason: string;
  readonly message: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number;
}

export const toPlain = ({ code, reason, message, detail }: Fault): PlainFault => ({
  code,
  reason,
  message,
  ...(detail.metadata && { metadata: detail.metadata }),
  ...(detail.retryAfterMs !== undefined && { retryAfterMs: detail.retryAfterMs }),
});

export const fromPlain = ({ code, reason, message, ...detail }: PlainFault): Fault =>
  new Fault(code, reason, message, detail);
