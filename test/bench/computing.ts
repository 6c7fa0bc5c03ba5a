import type { Bench, Figure } from './figure.js';
import { normalizeBench, normalizeKindsBench, type RatioResult } from './normalize.js';
import { decodeBench } from './normalize-decode.js';

/** Work that touches neither disk nor socket. */
export const normalizing: Bench = {
  name: 'normalize',
  run: async ({ quick }) => {
    const all = await normalizeBench();
    const kinds = quick ? [] : await normalizeKindsBench();
    return [figureOf(all, 3), ...kinds.map((kind) => figureOf(kind, null))];
  },
};

const figureOf = (
  { name, median, floor, ratio, n }: RatioResult,
  limit: number | null,
): Figure => ({
  kind: 'measured',
  name,
  unit: 'ns',
  ours: { median, p99: null, n },
  floor: { median: floor, p99: null, n, what: 'bare protobuf encode' },
  ratio,
  limit,
});

/** Its limit is 10 MB/s on any machine that one would run it on, so what it is beside its floor is only told. */
export const decoding: Bench = {
  name: 'decode',
  run: async () => {
    const { name, median, floor, ratio, n } = await decodeBench();
    return [
      {
        kind: 'measured',
        name,
        unit: 'MB/s',
        ours: { median, p99: null, n },
        floor: { median: floor, p99: null, n, what: 'JSON.parse and stringify' },
        ratio,
        limit: null,
        remarks: [median >= 10 ? 'above 10 MB/s' : 'BELOW 10 MB/s'],
      },
    ];
  },
};
