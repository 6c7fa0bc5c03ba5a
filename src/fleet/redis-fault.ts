import { Fault, isFault } from '../lib/fault.js';

/** What Redis and ioredis say, as one of ours. */
export const fleetFault = (error: unknown): Fault => {
  if (isFault(error)) return error;
  const { message, cause } = innermost(error);
  const word = /^[A-Z]+/.exec(message)?.[0] ?? '';
  switch (word) {
    case 'NOAUTH':
    case 'WRONGPASS':
    case 'NOPERM':
      return new Fault('FAILED_PRECONDITION', 'FLEET_DENIED', `Redis refuses: ${message}`, {
        cause,
      });
    case 'WRONGTYPE':
      return new Fault(
        'FAILED_PRECONDITION',
        'FLEET_KEY_TAKEN',
        `A key of the fleet holds something else: ${message}`,
        { cause },
      );
    default:
      // MOVED, LOADING, READONLY, OOM, CLUSTERDOWN, NOGROUP, timeouts, cut connections: they pass.
      return new Fault('UNAVAILABLE', 'FLEET_UNAVAILABLE', `Redis can't be used: ${message}`, {
        cause,
        retryAfterMs: 1000,
      });
  }
};

/** It won't pass by itself. */
export const isLasting = ({ code }: Fault): boolean => code !== 'UNAVAILABLE';

/** A Cluster that can't be reached, and a connection that failed at birth, carry why inside. */
const innermost = (error: unknown): { message: string; cause: unknown } => {
  const inner = (error as { lastNodeError?: unknown } | null)?.lastNodeError;
  if (inner instanceof Error) return innermost(inner);
  return { message: error instanceof Error ? error.message : String(error), cause: error };
};
