import { write } from 'node:fs';
import { withDeadline } from '../lib/with-deadline.js';

/** Writes lines to a file descriptor, in order, without ever waiting for its reader. */
export interface LineWriter {
  write(line: string): void;
  /** Resolves when all is written. After a second with a reader that takes nothing, this and what follows is lost. */
  flush(): Promise<void>;
}

/**
 * Bytes held for a reader that does not keep up. What comes beyond is dropped and counted: a stuck log collector must
 * neither stop vmwarden nor fill its memory.
 */
const MAX_HELD = 4 * 1024 * 1024;
const BUSY_RETRY_MS = 50;
const FLUSH_TIMEOUT_MS = 1_000;

export const createLineWriter = (fd: number, maxHeld = MAX_HELD): LineWriter => {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let writing = false;
  let dropped = 0;
  let givenUp = false;
  let onIdle: (() => void) | null = null;

  const take = (): Buffer => {
    const batch = Buffer.concat(held);
    held = [];
    heldBytes = 0;
    return batch;
  };

  const put = (batch: Buffer): void => {
    if (givenUp) {
      writing = false;
      next();
      return;
    }
    writing = true;
    write(fd, batch, (error, written) => {
      if (error !== null && isBusy(error)) {
        setTimeout(() => put(batch), BUSY_RETRY_MS);
      } else if (error === null && written < batch.length) {
        put(batch.subarray(written));
      } else {
        // A full disk or a reader that is gone: these lines are lost, later ones may fare better.
        writing = false;
        next();
      }
    });
  };

  const next = (): void => {
    if (writing) return;
    if (held.length > 0 && !givenUp) put(take());
    else onIdle?.();
  };

  const hold = (line: string): void => {
    const bytes = Buffer.from(line);
    held.push(bytes);
    heldBytes += bytes.length;
  };

  return {
    write: (line) => {
      if (givenUp) return;
      if (heldBytes + line.length > maxHeld) {
        dropped += 1;
        return;
      }
      if (dropped > 0) {
        hold(`${JSON.stringify({ level: 'warn', dropped, message: 'log lines were dropped' })}\n`);
        dropped = 0;
      }
      hold(line);
      next();
    },
    flush: async () => {
      // One that is under way in a thread can't be overtaken: its lines come first.
      const idle = new Promise<true>((resolve) => {
        onIdle = () => resolve(true);
      });
      next();
      if ((await withDeadline(FLUSH_TIMEOUT_MS, idle)) === undefined) givenUp = true;
    },
  };
};

const isBusy = (error: NodeJS.ErrnoException): boolean =>
  error.code === 'EAGAIN' || error.code === 'EBUSY';
