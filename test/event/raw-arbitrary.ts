import fc from 'fast-check';
import { type ArchFamily, type ByteOrder, findArch } from '../../src/event/arch.js';
import { KERNEL_EVENTS } from '../../src/event/kernel-events.js';
import type { RawContext, RawEvent } from '../../src/event/raw-event.js';

/** Runs of each property; VMWARDEN_FUZZ_RUNS=1000000 for the long way. */
export const FUZZ_RUNS = Number(process.env['VMWARDEN_FUZZ_RUNS'] ?? 20_000);
/** Milliseconds, far above what the runs take. */
export const FUZZ_TIMEOUT = 60_000 + FUZZ_RUNS;

export const fuzz = { numRuns: FUZZ_RUNS } as const;

export const arches = [
  'x86_64',
  'amd64',
  'i386',
  'i686',
  'arm64',
  'aarch64',
  'arm64_be',
  'arm',
  'armv7l',
  'riscv64',
  'riscv32',
  's390x',
  'ppc64le',
  'mips64',
  'loongarch64',
  'pdp-11',
  '',
] as const;

export const rawType = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 9 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 9 }).map((type) => (type | (1 << 31)) >>> 0) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 9 }).map((type) => (type << 24) >>> 0) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) },
);

const ndata = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 18 }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 3, 10, 16) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) },
);

/** Words that some rule looks at, and any others. */
export const word = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 0x100n, 0x010n, 0x31100n, 0xffccn, 0x10003n, 1n << 63n, 0x7f5c000n),
  fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
);

export const context: fc.Arbitrary<RawContext> = fc.record({
  arch: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...arches) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  ),
  capability: fc.constantFrom('present', 'absent', 'notStated'),
  capabilityNumber: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(null, 215) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 300 }) },
  ),
});

export const byteOrder: fc.Arbitrary<ByteOrder> = fc.constantFrom('little', 'big');

/** A struct system_event as long as its words; what lies behind them is up to the test. */
export const packed = (
  type: number,
  count: number,
  words: readonly bigint[],
  order: ByteOrder,
): Uint8Array => {
  const record = new Uint8Array(8 + 8 * words.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, type, order === 'little');
  view.setUint32(4, count, order === 'little');
  words.forEach((value, index) => {
    view.setBigUint64(8 + 8 * index, value, order === 'little');
  });
  return record;
};

/** Records that look like the kernel's, cut anywhere. */
export const rawBytes: fc.Arbitrary<RawEvent> = fc
  .tuple(
    context,
    rawType,
    ndata,
    fc.array(word, { maxLength: 18 }),
    fc.option(byteOrder, { freq: 12 }),
    fc.option(fc.integer({ min: 0, max: 152 }), { freq: 4 }),
  )
  .map(([shared, type, count, words, order, cut]) => ({
    ...shared,
    form: 'bytes',
    byteOrder: order,
    record: packed(type, count, words, order ?? 'little').subarray(0, cut ?? 152),
  }));

/** Anything at all. */
export const anyBytes: fc.Arbitrary<RawEvent> = fc
  .tuple(context, fc.uint8Array({ maxLength: 300 }), fc.option(byteOrder, { freq: 12 }))
  .map(([shared, record, order]) => ({ ...shared, form: 'bytes', byteOrder: order, record }));

export const rawFields: fc.Arbitrary<RawEvent> = fc
  .tuple(
    context,
    rawType,
    fc.option(ndata, { freq: 4 }),
    fc.array(word, { maxLength: 18 }),
    fc.option(word, { freq: 2 }),
  )
  .map(([shared, type, count, data, flags]) => ({
    ...shared,
    form: 'fields',
    type,
    ndata: count,
    data,
    flags,
  }));

const familyOf = (arch: string): ArchFamily => findArch(arch)?.family ?? 'other';

/** Records that a kernel could have written: a type of its architecture, as many words as it counts. */
export const plausible: fc.Arbitrary<RawEvent> = fc
  .tuple(
    fc.constantFrom(
      ...(['arm64', 'riscv64', 'x86_64'] as const).flatMap((arch) =>
        KERNEL_EVENTS.filter(({ emittedBy }) => emittedBy[familyOf(arch)] !== undefined).map(
          ({ number }) => [arch, number] as const,
        ),
      ),
    ),
    fc.oneof(
      fc.array(word, { minLength: 1, maxLength: 1 }),
      fc.array(word, { maxLength: 16 }),
      fc.array(word, { minLength: 16, maxLength: 16 }),
      word.map((first) => [BigInt.asUintN(24, first << 12n) | 0x100n]),
    ),
    byteOrder,
    fc.boolean(),
  )
  .map(([[arch, type], words, order, asFields]) => {
    const shared: RawContext = { arch, capability: 'present', capabilityNumber: 215 };
    return asFields
      ? { ...shared, form: 'fields', type, ndata: words.length, data: words, flags: null }
      : {
          ...shared,
          form: 'bytes',
          byteOrder: order,
          record: packed(type, words.length, words, order),
        };
  });

export const anyRaw = fc.oneof(
  { weight: 2, arbitrary: plausible },
  { weight: 1, arbitrary: rawBytes },
  { weight: 1, arbitrary: rawFields },
  { weight: 1, arbitrary: anyBytes },
);
