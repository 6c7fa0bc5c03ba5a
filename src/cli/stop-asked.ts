import type { EventEmitter } from 'node:events';
import type { Logger } from '../lib/logger.js';
import { FAILED, GOOD } from './io.js';

export interface StopAsked {
  /** Resolves with the exit code once somebody asks to stop, or something went wrong that nobody handled. */
  readonly stopping: Promise<number>;
  /** A defect of ours: leave in order, so that take-over is put back and the supervisor starts us anew. */
  fail(error: unknown): void;
}

/**
 * Listens for SIGTERM, SIGINT and what nobody handled on `events` (the process). A signal during the stop is told and
 * otherwise ignored: the stop has its own bound, and a VM whose take-over isn't put back waits for nobody.
 */
export const stopAsked = (
  events: Pick<EventEmitter, 'on'>,
  log: Pick<Logger, 'info' | 'warn' | 'error'>,
): StopAsked => {
  let stop: (code: number) => void = () => undefined;
  const stopping = new Promise<number>((resolve) => {
    stop = resolve;
  });
  const fail = (error: unknown): void => {
    log.error({ error }, 'stopping after an error that only a new process mends');
    stop(FAILED);
  };
  let asked = false;
  for (const signal of ['SIGTERM', 'SIGINT']) {
    events.on(signal, () => {
      if (asked) {
        log.warn({ signal }, 'stopping already; ends within stopTimeout');
        return;
      }
      asked = true;
      log.info({ signal }, 'stopping');
      stop(GOOD);
    });
  }
  events.on('uncaughtException', fail);
  events.on('unhandledRejection', fail);
  return { stopping, fail };
};
