import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { type SimulationOptions, simulate } from '../engine/replay/simulate.js';
import type { SimulatePolicyResponse } from '../gen/vmwarden/v1/policy_service.js';
import type { Journal } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import type { ResponseStream } from './router.js';
import { createSlots } from './slots.js';

export interface SimulationLimits {
  /** Simulations at once: they share one thread with what has to be decided now. Default 1. */
  readonly atOnce: number;
  /** After this long without a break others go first, for as long again. Default 2 ms. */
  readonly sliceMs: number;
  /** A reader that takes nothing for so long loses its place. Default 30 s. */
  readonly stalledMs: number;
  /** Between two messages of progress. Default 200 ms. */
  readonly progressMs: number;
}

const LIMITS: SimulationLimits = { atOnce: 1, sliceMs: 2, stalledMs: 30_000, progressMs: 200 };

/**
 * Runs simulations beside live traffic: few at once, in short slices with as long a pause after each, so that an event
 * waits for no more than one slice, and ends them with their callers.
 */
export const createSimulations = (journal: Journal, limits: SimulationLimits = LIMITS) => {
  const slots = createSlots(limits.atOnce);
  return {
    run: async (
      request: Omit<SimulationOptions, 'breathe'>,
      stream: ResponseStream<SimulatePolicyResponse>,
    ): Promise<void> => {
      const release = slots.take();
      if (release === null) {
        throw new Fault(
          'RESOURCE_EXHAUSTED',
          'SIMULATION_RUNNING',
          `${limits.atOnce} simulation runs already; it has to end first`,
          { retryAfterMs: 5_000, metadata: { limit: String(limits.atOnce) } },
        );
      }
      try {
        await run(journal, request, stream, limits);
      } finally {
        release();
      }
    },
  };
};

const run = async (
  journal: Journal,
  request: Omit<SimulationOptions, 'breathe'>,
  stream: ResponseStream<SimulatePolicyResponse>,
  { sliceMs, stalledMs, progressMs }: SimulationLimits,
): Promise<void> => {
  let sliceAt = performance.now();
  const breathe = async (): Promise<void> => {
    stream.signal.throwIfAborted();
    const ranMs = performance.now() - sliceAt;
    if (ranMs < sliceMs) return;
    await pause(ranMs);
    sliceAt = performance.now();
  };
  let toldAt = Number.NEGATIVE_INFINITY;
  for await (const message of simulate(journal, { ...request, breathe })) {
    if (message.message?.$case === 'progress') {
      const now = performance.now();
      if (now - toldAt < progressMs) continue;
      toldAt = now;
    }
    await taken(stream, message, stalledMs);
  }
};

const taken = async (
  stream: ResponseStream<SimulatePolicyResponse>,
  message: SimulatePolicyResponse,
  stalledMs: number,
): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `Nothing was read for ${stalledMs / 1_000} s; ask again, and read on`;
      reject(new Fault('DEADLINE_EXCEEDED', 'READER_STALLED', text));
    }, stalledMs);
  });
  try {
    await Promise.race([stream.write(message), late]);
  } finally {
    clearTimeout(timer);
  }
};
