import type { Summary } from './figure.js';

/** Below it the 99th percentile would be one sample's luck. */
const P99_FROM = 200;

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
  return (lower + upper) / 2;
};

export const summarize = (values: readonly number[]): Summary => ({
  median: median(values),
  p99: values.length >= P99_FROM ? quantile(values, 0.99) : null,
  n: values.length,
});

/** Where the middle half lies: `1.9 to 2.4`. */
export const middleHalf = (values: readonly number[]): string =>
  `${quantile(values, 0.25).toPrecision(3)} to ${quantile(values, 0.75).toPrecision(3)}`;
