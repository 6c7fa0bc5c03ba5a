import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Readable, Writable } from 'node:stream';
import { decodeStream } from '../../src/cli/decode-stream.js';
import { parseLines } from './floors/encode-lines.js';

export interface ThroughputResult {
  readonly name: string;
  /** Megabytes (10^6) of input a second. */
  readonly median: number;
  readonly floor: number;
  /** How many times slower than the floor. */
  readonly ratio: number;
  readonly n: number;
}

const ROUNDS = 9;
/** As a pipe hands them over. */
const CHUNK_BYTES = 64 * 1024;

const chunksOf = (text: Buffer): readonly Buffer[] =>
  Array.from({ length: Math.ceil(text.length / CHUNK_BYTES) }, (_, index) =>
    text.subarray(CHUNK_BYTES * index, CHUNK_BYTES * (index + 1)),
  );

const medianOf = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;

/** `vmwarden decode` from stdin to stdout, over records of real kernels. At least 10 MB/s. */
export const decodeBench = async (): Promise<ThroughputResult> => {
  const text = Buffer.concat(Array(150).fill(readFileSync('test/data/captures.jsonl')));
  const megabytes = text.length / 1e6;
  const ours: number[] = [];
  const floors: number[] = [];
  for (let round = -2; round < ROUNDS; round += 1) {
    const start = performance.now();
    let written = 0;
    const sink = new Writable({
      write: (chunk: Buffer, _, done) => {
        written += chunk.length;
        done();
      },
    });
    const code = await decodeStream(Readable.from(chunksOf(text)), sink, false);
    const middle = performance.now();
    if (code !== 0 || written === 0) throw new Error(`decode ended with ${code}`);
    if (parseLines(text) === 0) throw new Error('nothing was parsed');
    const end = performance.now();
    // The rounds below 0 warm the compiler up.
    if (round >= 0) {
      ours.push((1000 * megabytes) / (middle - start));
      floors.push((1000 * megabytes) / (end - middle));
    }
  }
  const [median, floor] = [medianOf(ours), medianOf(floors)];
  return { name: 'decode of JSON lines', median, floor, ratio: floor / median, n: ROUNDS };
};
