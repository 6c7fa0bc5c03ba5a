import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { Fault } from '../../lib/fault.js';
import type { Sequence } from '../journal.js';
import { inUse, isOwnerAlive, removeSocket } from './owner.js';
import { type FromWriter, fromPlain, type ToWriter, type WriterData } from './protocol.js';

export interface StartWriterOptions {
  readonly workerUrl: URL;
  readonly dir: string;
  readonly reserveBytes: number;
  readonly socket: string;
  readonly hooks?: {
    readonly faults?: Int32Array;
    readonly started?: (worker: Worker) => void;
  };
}

export interface StartedWriter {
  readonly worker: Worker;
  readonly id: string;
  readonly newest: Sequence;
}

/** Another process that holds LMDB's write lock is the one thing this could wait for. */
const START_TIMEOUT_MS = 30_000;
/** Each round means that yet another owner came and died meanwhile. */
const MAX_TAKE_OVERS = 5;

/** Starts the writer thread and lets it claim the directory; a dead owner is replaced, a living one is JOURNAL_IN_USE. */
export async function startWriter(options: StartWriterOptions): Promise<StartedWriter> {
  const { workerUrl, dir, reserveBytes, socket, hooks } = options;
  const data: WriterData = {
    dir,
    reserveBytes,
    socket,
    newId: randomBytes(16).toString('hex'),
    ...(hooks?.faults && { faults: hooks.faults }),
  };
  // Without our own flags: a loader that runs sources directly would run again in the thread.
  const worker = new Worker(workerUrl, { name: 'journal', workerData: data, execArgv: [] });
  try {
    hooks?.started?.(worker);
    for (let round = 0; ; round++) {
      const answer = await nextMessage(worker, dir);
      if (answer.kind === 'ready') {
        if (answer.replaced) removeSocket(dir, answer.replaced);
        return { worker, id: answer.id, newest: answer.newest };
      }
      if (answer.kind === 'unusable') throw fromPlain(answer.fault);
      if (answer.kind !== 'owned') throw unexpected(dir, `it said '${answer.kind}'`);
      const { owner } = answer;
      if (round === MAX_TAKE_OVERS || (await isOwnerAlive(dir, owner))) throw inUse(dir, owner);
      worker.postMessage({ kind: 'claim', over: owner.socket } satisfies ToWriter);
    }
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

function nextMessage(worker: Worker, dir: string): Promise<FromWriter> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      act();
    };
    const onMessage = (message: FromWriter) => settle(() => resolve(message));
    const onError = (error: Error) => settle(() => reject(unexpected(dir, error.message, error)));
    const onExit = () => settle(() => reject(unexpected(dir, 'it ended')));
    const late = () => unexpected(dir, `it was not ready after ${START_TIMEOUT_MS / 1000} s`);
    const timer = setTimeout(() => settle(() => reject(late())), START_TIMEOUT_MS);
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
  });
}

const unexpected = (dir: string, why: string, cause?: unknown): Fault =>
  new Fault(
    'UNAVAILABLE',
    'JOURNAL_IO',
    `The writer thread of the journal ${dir} did not start: ${why}.`,
    { cause },
  );
