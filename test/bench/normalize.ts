import { performance } from 'node:perf_hooks';
import { normalize } from '../../src/event/normalize.js';
import type { RawEvent } from '../../src/event/raw-event.js';
import { SystemEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import { systemEventToProto } from '../../src/record/system-event-codec.js';
import { encodeAll } from './floors/encode.js';

export interface RatioResult {
  readonly name: string;
  /** Nanoseconds an event. */
  readonly median: number;
  readonly floor: number;
  readonly ratio: number;
  readonly n: number;
}

const ROUNDS = 41;
const REPEATS = 400;

/** One of each kind that kernels make, from the bytes that they write. */
const RECORDS: readonly (readonly [string, 'present' | 'absent', string])[] = [
  ['arm64', 'present', `02000000010000000100000000000000${'00'.repeat(120)}`],
  ['arm64', 'absent', '01000000000000000000000000000000'],
  ['arm64', 'present', `0500000000000000${'00'.repeat(128)}`],
  ['riscv64', 'present', `0200000001000000010000e000000000${'00'.repeat(120)}`],
  ['x86_64', 'present', `03000000000000000010000000000000${'aa'.repeat(120)}`],
  ['x86_64', 'absent', '02000000010000000010000000000000'],
  ['x86_64', 'present', `06000000010000000011030000000000${'aa'.repeat(120)}`],
  ['x86_64', 'present', `060000000100000000c0f50700000000${'aa'.repeat(120)}`],
  ['x86_64', 'present', '080000000200000005000000000000000600000000000000'],
  [
    'x86_64',
    'present',
    [
      '07000000100000004d00000000000000ccff0000000000000000000000000000',
      '696f6e3a20534550000000000000000000000000000000007320746f20626520',
      '542023564520686164697361626c656400000000000000000000000000000000',
      '0300010000000000000000000000000000000000000000005444206d6973636f',
      '6e66696775726174',
    ].join(''),
  ],
];

const rawEvents = (): readonly RawEvent[] =>
  RECORDS.map(([arch, capability, hex]) => ({
    form: 'bytes',
    arch,
    capability,
    capabilityNumber: 215,
    byteOrder: 'little',
    record: Buffer.from(hex, 'hex'),
  }));

const messageOf = (raw: RawEvent): SystemEvent => {
  const answer = normalize(raw);
  if (!answer.ok) throw new Error(`a record of the bench is no event: ${answer.problem.code}`);
  return systemEventToProto(answer.event);
};

const normalizeAll = (raws: readonly RawEvent[]): number => {
  let bytes = 0;
  for (const raw of raws) bytes += SystemEvent.encode(messageOf(raw)).finish().length;
  return bytes;
};

const nanosecondsEach = (count: number, run: () => number): number => {
  const start = performance.now();
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    if (run() === 0) throw new Error('nothing was encoded');
  }
  return ((performance.now() - start) * 1e6) / (REPEATS * count);
};

const medianOf = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;

/** Normalize and encode against the bare encode of the same events; the two take turns. At most 3. */
export const normalizeBench = async (): Promise<RatioResult> =>
  measure('normalize + encode, all kinds', rawEvents());

/** The same for each kind of event alone. */
export const normalizeKindsBench = async (): Promise<readonly RatioResult[]> =>
  rawEvents().map((raw) => measure(`normalize + encode, ${kindOf(raw)}`, [raw]));

const kindOf = (raw: RawEvent): string => {
  const { type, data, arch, capability } = messageOf(raw);
  return `${arch} type ${type}, ${data.length} words, capability ${capability === 1 ? '' : 'not '}present`;
};

const measure = (name: string, raws: readonly RawEvent[]): RatioResult => {
  const messages = raws.map(messageOf);
  const ours: number[] = [];
  const floors: number[] = [];
  for (let round = -10; round < ROUNDS; round += 1) {
    const own = nanosecondsEach(raws.length, () => normalizeAll(raws));
    const floor = nanosecondsEach(raws.length, () => encodeAll(messages));
    // The rounds below 0 warm the compiler up.
    if (round >= 0) {
      ours.push(own);
      floors.push(floor);
    }
  }
  const [median, floor] = [medianOf(ours), medianOf(floors)];
  return { name, median, floor, ratio: median / floor, n: ROUNDS };
};
