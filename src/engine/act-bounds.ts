import { performance } from 'node:perf_hooks';
import { withDeadline } from '../lib/with-deadline.js';
import type { Outcome, Progress } from '../vmm/driver.js';

/** A verb that has not come back this long after its deadline is given up. */
const OVERDUE_MS = 2_000;
/** At most one progress record of a dump in this time. */
const PROGRESS_EVERY_MS = 1_000;

/** A driver that doesn't keep its deadline is given up. */
export const bounded = async (outcome: Promise<Outcome>, timeoutMs: number): Promise<Outcome> =>
  (await withDeadline(timeoutMs + OVERDUE_MS, outcome)) ??
  failed('DEADLINE_EXCEEDED', `the driver did not come back within ${timeoutMs} ms`);

export const throttled = (tell: (progress: Progress) => void): ((progress: Progress) => void) => {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < PROGRESS_EVERY_MS) return;
    lastMs = nowMs;
    tell(progress);
  };
};

export const failed = (reason: string, message: string): Outcome => ({
  kind: 'failed',
  reason,
  message,
  proof: [],
});
