import type { CounterName, GaugeName } from './catalog.js';
import type { Labels, Sample } from './instruments.js';

/** Reads a part of the program when a scrape comes. What it throws leaves its samples out of that scrape, and is counted. */
export interface Collector {
  readonly group: string;
  collect(): readonly Sample[] | Promise<readonly Sample[]>;
}

export const sample = (
  name: GaugeName | CounterName,
  value: number,
  labels: Labels = {},
): Sample => ({ name, labels, value });

/** One series for each word; 0 for those that nothing is counted under. */
export const byWord = <Word extends string>(
  name: GaugeName,
  label: string,
  words: readonly Word[],
  count: (word: Word) => number,
): readonly Sample[] => words.map((word) => sample(name, count(word), { [label]: word }));
