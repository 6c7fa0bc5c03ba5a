import { withDeadline } from '../../lib/with-deadline.js';
import type { Collector } from './collector.js';
import type { Instruments, Sample } from './instruments.js';

/** A part that has not answered by then is left out: Prometheus waits 10 s for all of it. */
const COLLECT_MS = 3_000;
/** A scrape is handed out again this long: who asks in a loop doesn't load the host. */
const KEPT_MS = 500;

/** Makes the text of a scrape; one at a time, and all who ask meanwhile get that. */
export const createScrape = (
  instruments: Instruments,
  collectors: () => readonly Collector[],
  collectMs = COLLECT_MS,
): (() => Promise<string>) => {
  let current: Scrape | null = null;

  const take = async (collector: Collector): Promise<readonly Sample[]> => {
    try {
      const taken = await withDeadline(collectMs, Promise.resolve(collector.collect()));
      if (taken !== undefined) return taken;
    } catch {
      // Counted below; the scrape itself says so.
    }
    instruments.count('vmwarden_collect_failures_total', { group: collector.group });
    return [];
  };

  const make = async (): Promise<string> => {
    const taken = await Promise.all(collectors().map(take));
    return await instruments.text(taken.flat());
  };

  return () => {
    const old = current?.endedMs ?? null;
    if (current === null || (old !== null && performance.now() - old > KEPT_MS)) {
      const scrape: Scrape = { text: make(), endedMs: null };
      const end = (): void => {
        scrape.endedMs = performance.now();
      };
      scrape.text.then(end, end);
      current = scrape;
    }
    return current.text;
  };
};

interface Scrape {
  readonly text: Promise<string>;
  /** null: not yet. */
  endedMs: number | null;
}
