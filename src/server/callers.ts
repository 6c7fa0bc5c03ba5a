import { TokenBucket } from '../engine/token-bucket.js';
import { Fault } from '../lib/fault.js';

export interface CallerLimits {
  /** Calls of one connection: this many a second on the long run. Default 2,000. */
  readonly callsPerSecond: number;
  /** This many at once. Default 4,000. */
  readonly callsAtOnce: number;
  /** Streams open at once on one connection, of each method. Default 32. */
  readonly streams: number;
}

/**
 * Who calls, told apart by connection: on a unix socket there is nothing else to know them by. One of them that
 * calls too often, or holds too many streams, is refused without any other noticing.
 */
export interface Callers {
  /** Throws CALLING_TOO_FAST. */
  admit(caller: string): void;
  /** Throws TOO_MANY_CALLS; else the way to give it back. */
  openStream(caller: string, method: string): () => void;
  /** Its connection is closed. */
  forget(caller: string): void;
}

export const createCallers = (
  limits: CallerLimits,
  nowMs: () => number = () => performance.now(),
): Callers => {
  const buckets = new Map<string, TokenBucket>();
  const streams = new Map<string, Map<string, number>>();
  return {
    admit: (caller) => {
      let bucket = buckets.get(caller);
      if (bucket === undefined) {
        bucket = new TokenBucket(limits.callsPerSecond, limits.callsAtOnce, nowMs());
        buckets.set(caller, bucket);
      }
      if (bucket.take(nowMs())) return;
      throw new Fault(
        'RESOURCE_EXHAUSTED',
        'CALLING_TOO_FAST',
        `More than ${limits.callsPerSecond} calls a second on this connection; ReportEvents takes many reports in one stream`,
        {
          retryAfterMs: Math.max(1, bucket.waitMs(nowMs())),
          metadata: { limit: String(limits.callsPerSecond) },
        },
      );
    },
    openStream: (caller, method) => {
      const open = streams.get(caller) ?? new Map<string, number>();
      const count = open.get(method) ?? 0;
      if (count >= limits.streams) {
        throw tooMany('streams of this method on this connection', limits.streams);
      }
      open.set(method, count + 1);
      streams.set(caller, open);
      return () => open.set(method, (open.get(method) ?? 1) - 1);
    },
    forget: (caller) => {
      buckets.delete(caller);
      streams.delete(caller);
    },
  };
};

export const tooMany = (what: string, max: number): Fault =>
  new Fault('RESOURCE_EXHAUSTED', 'TOO_MANY_CALLS', `${max} ${what} are open already`, {
    retryAfterMs: 1000,
    metadata: { limit: String(max) },
  });
