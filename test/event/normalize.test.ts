import { describe, expect, test } from 'vitest';
import { type Normalized, normalize } from '../../src/event/normalize.js';
import type { RawBytes, RawContext, RawEvent, RawFields } from '../../src/event/raw-event.js';
import type { SystemEvent } from '../../src/event/system-event.js';
import { detailJson } from '../../src/record/event-json.js';
import { packed } from './raw-arbitrary.js';

const context: RawContext = {
  arch: 'x86_64',
  capability: 'present',
  capabilityNumber: null,
};

const fields = (part: Partial<RawContext & RawFields>): RawEvent => ({
  ...context,
  form: 'fields',
  type: 2,
  ndata: null,
  data: [],
  flags: null,
  ...part,
});

const bytes = (part: Partial<RawContext & RawBytes>): RawEvent => ({
  ...context,
  form: 'bytes',
  record: new Uint8Array(136),
  byteOrder: 'little',
  ...part,
});

const eventOf = (answer: Normalized): SystemEvent => {
  if (!answer.ok) throw new Error(`expected an event, got ${answer.problem.code}`);
  return answer.event;
};

const problemOf = (raw: RawEvent) => {
  const answer = normalize(raw);
  if (answer.ok) throw new Error(`expected a problem, got ${answer.event.type}`);
  return answer.problem;
};

const event = (part: Partial<RawContext & RawFields>): SystemEvent =>
  eventOf(normalize(fields(part)));

const arm = { arch: 'arm64' } as const;
const legacyArm = { arch: 'arm64', capability: 'absent' } as const;

describe('fields', () => {
  test('legacy flags alone are the word of an arm64 kernel without the capability', () => {
    expect(event({ ...legacyArm, flags: 1n })).toMatchObject({
      type: 'RESET',
      data: [1n],
      detail: { call: 'SYSTEM_RESET2' },
      anomalies: ['LEGACY_FLAGS'],
    });
  });

  test('flags and data[0] that differ: data[0] wins and the conflict is marked', () => {
    expect(event({ ...arm, ndata: 1, data: [0n], flags: 1n })).toMatchObject({
      data: [0n],
      detail: { call: 'SYSTEM_RESET' },
      anomalies: ['ALIAS_CONFLICT'],
    });
    expect(event({ ...legacyArm, ndata: 1, data: [0n], flags: 1n }).anomalies).toEqual([
      'LEGACY_FLAGS',
      'NDATA_WITHOUT_CAP',
      'ALIAS_CONFLICT',
    ]);
    expect(event({ ...arm, ndata: 1, data: [1n], flags: 1n }).anomalies).toEqual([]);
  });

  test('more items than ndata are cut', () => {
    expect(event({ ...arm, ndata: 1, data: Array(16).fill(7n) }).data).toEqual([7n]);
  });

  test('fewer items than ndata are TRUNCATED', () => {
    expect(problemOf(fields({ ...arm, ndata: 1, data: [] }))).toMatchObject({
      code: 'TRUNCATED',
      field: 'fields.data',
      value: '0 words',
      expected: 'at least 1: ndata is 1',
    });
    expect(problemOf(fields({ ...legacyArm, ndata: 1, data: [] })).code).toBe('TRUNCATED');
    expect(problemOf(fields({ ndata: 16, data: Array(15).fill(0n) })).code).toBe('TRUNCATED');
  });

  test('the flags stand for data[0] where that is all there is', () => {
    expect(event({ ...arm, ndata: 1, data: [], flags: 1n }).data).toEqual([1n]);
  });

  test('with the capability and a count of 0 the flags are stale', () => {
    const hyperv = { data: [], detail: { kind: 'hyperv', origin: 'HYPERV_RESET_MSR' } };
    expect(event({ ndata: 0, flags: 0xdeadn })).toMatchObject({
      ...hyperv,
      anomalies: ['STALE_IGNORED'],
    });
    expect(event({ ndata: 0, flags: 0n })).toMatchObject({ ...hyperv, anomalies: [] });
    expect(event({ ...arm, type: 5, ndata: 0, flags: 1n })).toMatchObject({
      data: [],
      detail: { call: 'SYSTEM_SUSPEND' },
      anomalies: ['STALE_IGNORED'],
    });
  });

  test('an old header on a new kernel is read by the old rules', () => {
    expect(event({ ...arm, flags: 1n })).toMatchObject({ data: [1n], anomalies: ['LEGACY_FLAGS'] });
    expect(event({ flags: 1n })).toMatchObject({ data: [], anomalies: ['STALE_IGNORED'] });
    expect(event({ type: 6, flags: 1n }).anomalies).toEqual(['STALE_IGNORED', 'DATA_MISSING']);
  });

  test('with the capability a count that was left out is asked for, never guessed', () => {
    const stale = Array.from({ length: 16 }, () => 0xdeadn);
    for (const part of [
      { type: 6, data: [0x100n] },
      { type: 6, data: [0x100n, ...stale.slice(1)] },
      { type: 6, data: [0x100n], flags: 0x100n },
      { ...arm, type: 2 },
      { type: 3 },
    ]) {
      const problem = problemOf(fields(part));
      expect(problem).toMatchObject({ code: 'MISSING_CONTEXT', field: 'fields.ndata' });
      expect(problem.advice).toContain('State ndata as the kernel wrote it');
    }
    expect(problemOf(fields({ data: [1n], capabilityNumber: 214 })).code).toBe(
      'WRONG_CAPABILITY_NUMBER',
    );
  });

  test('without the capability words behind the first are ignored when no count was sent', () => {
    for (const capability of ['absent', 'notStated'] as const) {
      const unstated = capability === 'notStated' ? ['CAP_UNKNOWN'] : [];
      for (const arch of ['arm64', 'riscv64', 'arm']) {
        expect(event({ arch, capability, data: [1n, 2n, 3n] })).toMatchObject({
          data: [1n],
          anomalies: ['LEGACY_FLAGS', ...unstated],
        });
        expect(event({ arch, capability, data: [1n, 2n], flags: 2n })).toMatchObject({
          data: [1n],
          anomalies: ['LEGACY_FLAGS', 'ALIAS_CONFLICT', ...unstated],
        });
      }
    }
    expect(event({ ...legacyArm, data: [1n], ndata: 2 })).toMatchObject({
      data: [],
      anomalies: ['NDATA_WITHOUT_CAP', 'DATA_UNTRUSTED'],
    });
  });

  test('need no byte order and no architecture, but are decoded only with one', () => {
    expect(event({ arch: '', ndata: 1, data: [1n] })).toMatchObject({
      type: 'RESET',
      data: [1n],
      detail: { kind: 'none' },
      anomalies: ['UNEXPECTED_ARCH'],
    });
  });

  test('a swapped type is BYTE_ORDER_SUSPECT', () => {
    const problem = problemOf(fields({ type: 0x0200_0000, ndata: 0 }));
    expect(problem).toMatchObject({
      code: 'BYTE_ORDER_SUSPECT',
      field: 'fields.type',
      value: '0x2000000',
    });
    // RawFields has no byte order that one could state.
    expect(problem.advice).toMatch(/^Swap the bytes of every number/);
    expect(problem.advice).not.toContain('State');
    expect(event({ type: 0x0800_0000, ndata: 0 }).anomalies).toEqual(['UNKNOWN_TYPE']);
  });
});

describe('context', () => {
  test('bytes without architecture or byte order are MISSING_CONTEXT, too few bytes come first', () => {
    expect(problemOf(bytes({ arch: '' }))).toMatchObject({
      code: 'MISSING_CONTEXT',
      field: 'arch',
    });
    expect(problemOf(bytes({ byteOrder: null }))).toMatchObject({
      code: 'MISSING_CONTEXT',
      field: 'bytes.byteOrder',
    });
    expect(problemOf(bytes({ arch: '', record: new Uint8Array(7) })).code).toBe('TRUNCATED');
  });

  test.each([214, 216, 0])(
    'capability number %d is refused, and the collision explained',
    (number) => {
      const problem = problemOf(bytes({ capabilityNumber: number }));
      expect(problem).toMatchObject({
        code: 'WRONG_CAPABILITY_NUMBER',
        field: 'capabilityNumber',
        value: String(number),
      });
      expect(problem.advice).toMatch(/for 215\b.*214.* is KVM_CAP_VM_TSC_CONTROL/);
    },
  );

  test('number 215 is the one', () => {
    expect(normalize(bytes({ capabilityNumber: 215, record: packed(3, 0, [], 'little') })).ok).toBe(
      true,
    );
  });

  test.each([
    ['aarch64', 'little'],
    ['arm64_be', 'big'],
    ['AArch64', 'little'],
    ['armv7l', 'little'],
  ] as const)('%s is read as the arm family, %s endian', (arch, byteOrder) => {
    const record = packed(1, 1, [0n], byteOrder);
    expect(eventOf(normalize(bytes({ arch, byteOrder, record }))).detail).toMatchObject({
      kind: 'psci',
      call: 'SYSTEM_OFF',
    });
  });

  test.each(['x86_64', 'amd64', 'X86-64', 'i386', 'i686'])('%s is read as x86', (arch) => {
    const record = packed(6, 1, [0x100n], 'little');
    expect(eventOf(normalize(bytes({ arch, record }))).detail.kind).toBe('ghcbTermination');
  });

  test('a hostile architecture name is kept, escaped, and marked where it was cut', () => {
    const archOf = (arch: string) => {
      const { arch: kept, anomalies } = event({ arch, ndata: 0 });
      expect(anomalies).toEqual(['UNEXPECTED_ARCH']);
      return kept;
    };
    expect(archOf(`\u001b[31m${'x'.repeat(1000)}`)).toBe(`\\x1b[31m${'x'.repeat(27)}...`);
    expect(archOf('arm64\0junk\n')).toBe('arm64\\x00junk\\x0a');
    expect(archOf('x'.repeat(32))).toBe('x'.repeat(32));
    expect(archOf('\u00fc'.repeat(17))).toBe(`${'\\xc3\\xbc'.repeat(16)}...`);
  });

  test('a record of 8 bytes is enough where nothing behind the count is read', () => {
    expect(eventOf(normalize(bytes({ record: packed(3, 0, [], 'little') }))).type).toBe('CRASH');
    expect(problemOf(bytes({ ...legacyArm, record: packed(2, 0, [], 'little') })).code).toBe(
      'TRUNCATED',
    );
    expect(
      eventOf(normalize(bytes({ ...legacyArm, record: packed(2, 2, [], 'little') }))).anomalies,
    ).toEqual(['NDATA_WITHOUT_CAP', 'DATA_UNTRUSTED']);
  });

  test('what the problem says of a swapped record', () => {
    const record = packed(2, 1, [0n], 'big');
    expect(problemOf(bytes({ arch: 'arm64', record }))).toMatchObject({
      code: 'BYTE_ORDER_SUSPECT',
      field: 'bytes.byteOrder',
      value: 'little, in which the type reads 0x2000000',
      expected: 'big, in which the type reads 2',
    });
  });
});

describe('anomalies', () => {
  const anomaliesOf = (part: Partial<RawContext & RawFields>) => event(part).anomalies;

  test('the capability that nobody stated is read as absent, and marked', () => {
    expect(anomaliesOf({ ...arm, capability: 'notStated', flags: 1n })).toEqual([
      'LEGACY_FLAGS',
      'CAP_UNKNOWN',
    ]);
    expect(anomaliesOf({ type: 6, capability: 'notStated', ndata: 1, data: [0x100n] })).toEqual([
      'STALE_IGNORED',
      'CAP_UNKNOWN',
      'SEV_TERM_WITHOUT_CAP',
    ]);
  });

  test('TDX_FATAL without the capability is stale, with it and without words it misses them', () => {
    expect(anomaliesOf({ type: 7, capability: 'absent', ndata: 0 })).toEqual(['STALE_IGNORED']);
    expect(anomaliesOf({ type: 7, ndata: 0 })).toEqual(['DATA_MISSING']);
    expect(anomaliesOf({ type: 7, ndata: 17 })).toEqual(['NDATA_OUT_OF_RANGE', 'DATA_UNTRUSTED']);
  });

  test('a type of another architecture keeps its words and is not decoded', () => {
    expect(event({ arch: 'riscv64', type: 5, ndata: 1, data: [3n] })).toMatchObject({
      type: 'SUSPEND',
      data: [3n],
      detail: { kind: 'none' },
      anomalies: ['UNEXPECTED_ARCH'],
    });
    expect(anomaliesOf({ arch: 'x86_64', type: 1, ndata: 0 })).toEqual(['UNEXPECTED_ARCH']);
    expect(anomaliesOf({ arch: 'arm', type: 5, ndata: 0 })).toEqual(['UNEXPECTED_ARCH']);
    expect(anomaliesOf({ arch: 'arm64', type: 6, ndata: 0 })).toEqual([
      'DATA_MISSING',
      'UNEXPECTED_ARCH',
    ]);
  });

  test('words where the kernel sends none, and bits that nobody defined', () => {
    expect(event({ type: 3, ndata: 1, data: [5n] })).toMatchObject({
      data: [5n],
      detail: { kind: 'none' },
      anomalies: ['UNKNOWN_BITS'],
    });
    expect(event({ ...arm, type: 1, ndata: 1, data: [0x8000_0000_0000_0003n] })).toMatchObject({
      detail: { call: 'SYSTEM_OFF2', hibernate: true, unknownBits: 0x8000_0000_0000_0002n },
      anomalies: ['UNKNOWN_BITS'],
    });
    expect(anomaliesOf({ ...arm, type: 4, ndata: 1, data: [1n] })).toEqual(['UNKNOWN_BITS']);
    const suspend = event({ ...arm, type: 5, ndata: 1, data: [6n] });
    expect(suspend).toMatchObject({ data: [6n], anomalies: ['UNKNOWN_BITS'] });
    expect(detailJson(suspend.detail)).toEqual({ psci: 'SYSTEM_SUSPEND' });
    expect(anomaliesOf({ arch: 'riscv64', ndata: 1, data: [1n << 32n] })).toEqual(['UNKNOWN_BITS']);
  });

  test('the dialect of April 2022 is not decoded, whatever the capability', () => {
    for (const capability of ['present', 'absent', 'notStated'] as const) {
      expect(event({ type: 0x8000_0004, ndata: 1, data: [1n], capability })).toMatchObject({
        type: 'UNKNOWN',
        rawType: 0x8000_0004,
        data: [],
        detail: { kind: 'unknown', rawType: 0x8000_0004, dialect: 'KVM_NEXT_2022' },
        anomalies: ['DIALECT_NOT_DECODED'],
      });
    }
  });
});

describe('SEV_TERM', () => {
  const sev = (msr: bigint) => event({ type: 6, ndata: 1, data: [msr] });

  test.each([
    [0x000_2100n, 0, 0, null],
    [0x002_0100n, 0, 2, 'GHCB_SNP_UNSUPPORTED'],
    [0x003_0100n, 0, 3, null],
    [0x00b_1100n, 1, 11, 'GHCB_TERM_SVSM_CA_REMAP_FAIL'],
    [0x00c_1100n, 1, 12, null],
  ] as const)('reason of %s', (msr, set, code, name) => {
    const reasonSet = Number((msr >> 12n) & 15n);
    expect(sev(msr).detail).toMatchObject({ reasonSet, reasonCode: code, name });
    if (set !== 0) expect(reasonSet).toBe(set);
  });

  test.each([0x010, 0x012, 0x014, 0xfff])('a request that it had no right to: %s', (info) => {
    expect(sev(0x7f5c_0000n | BigInt(info))).toMatchObject({
      detail: { kind: 'ghcbIllegalRequest', info },
      anomalies: ['NO_REASON'],
    });
  });
});

describe('TDX_FATAL', () => {
  const tdx = (data: readonly bigint[]) => event({ type: 7, ndata: data.length, data });
  const registers = (part: Readonly<Record<number, bigint>>): bigint[] =>
    Array.from({ length: 16 }, (_, index) => part[index] ?? 0n);
  const text = (ascii: string): bigint =>
    Buffer.from(ascii.padEnd(8, '\0'), 'latin1').readBigUInt64LE();

  test('the text is in the order of the GHCI, from exposed registers only', () => {
    const data = registers({
      1: 0b1100_0000_0000_0100n,
      14: text('first: !'),
      15: text('\u0007second'),
      3: text('hidden'),
      2: text('unread'),
    });
    expect(tdx(data)).toMatchObject({
      detail: { layout: 'GPR16', message: 'first: !\\x07second' },
      anomalies: ['MESSAGE_SANITIZED'],
    });
  });

  test('an error code, an extended code and an address', () => {
    const data = registers({ 12: 0x8000_0005_0000_0009n, 13: 0xdead_b000n });
    expect(tdx(data)).toMatchObject({
      detail: { errorCode: 9, extendedCode: 5, panic: false, gpa: 0xdead_b000n, message: null },
      anomalies: ['RESERVED_CODE'],
    });
  });

  test('the number of words tells the layout', () => {
    const layoutOf = (data: readonly bigint[]) => {
      const { detail, anomalies } = tdx(data);
      return [detail.kind === 'tdx' ? detail.layout : detail.kind, ...anomalies];
    };
    expect(layoutOf([0x10003n, 0n, 0n])).toEqual(['TDX3', 'DOWNSTREAM_LAYOUT']);
    expect(layoutOf([0n, 0n, text('x')])).toEqual(['GHCI_PACKED', 'DOWNSTREAM_LAYOUT']);
    expect(layoutOf([0n, 0n])).toEqual(['GHCI_PACKED', 'DOWNSTREAM_LAYOUT']);
    expect(layoutOf(Array(10).fill(0n))).toEqual(['GHCI10', 'DOWNSTREAM_LAYOUT']);
    for (const count of [1, 11, 15]) {
      expect(layoutOf(Array(count).fill(0n))).toEqual(['none', 'UNKNOWN_LAYOUT']);
    }
  });

  test('GHCI10 carries its text behind code and address', () => {
    expect(
      tdx([0n, 0n, text('abcdefgh'), text('ij'), ...Array(6).fill(text('z'))]).detail,
    ).toMatchObject({ message: 'abcdefghij', gpa: null, regMask: null });
  });
});
