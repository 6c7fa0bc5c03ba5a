import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANOMALIES, ANOMALY_NOTES } from '../../src/event/anomaly.js';
import { explain } from '../../src/event/explain.js';
import { findKernelEvent, KERNEL_EVENTS } from '../../src/event/kernel-events.js';
import { normalize } from '../../src/event/normalize.js';
import type { RawEvent, RawFields } from '../../src/event/raw-event.js';
import { anyRaw } from './raw-arbitrary.js';

test('each anomaly has a note, each kernel event its number', () => {
  for (const anomaly of ANOMALIES) expect(ANOMALY_NOTES[anomaly].implies).toMatch(/\.$/);
  for (const event of KERNEL_EVENTS) expect(findKernelEvent(event.number)).toBe(event);
  expect(findKernelEvent(0)).toBeUndefined();
  expect(findKernelEvent(8)).toBeUndefined();
});

test('the bits of a word make up the word', () => {
  fc.assert(
    fc.property(anyRaw, (raw) => {
      const answer = normalize(raw);
      if (!answer.ok) return true;
      const { wordNotes, anomalies } = explain(answer.event);
      return (
        anomalies.length === answer.event.anomalies.length &&
        wordNotes.length === answer.event.data.length &&
        wordNotes.every(({ value, bits }) => {
          const isWhole = bits.length > 1;
          const sum = bits.reduce(
            (total, note) => total + (note.value << BigInt(note.bits.split(':').at(-1) ?? 0)),
            0n,
          );
          return !isWhole || sum === value;
        })
      );
    }),
    { numRuns: 5000 },
  );
});

test('the kernel source is that of the architecture', () => {
  const sourceOf = (arch: string, type: number) => {
    const answer = normalize({
      form: 'fields',
      arch,
      capability: 'present',
      capabilityNumber: 215,
      type,
      ndata: 0,
      data: [],
      flags: null,
    });
    return answer.ok ? explain(answer.event).source?.file : answer.problem.code;
  };
  expect(sourceOf('aarch64', 2)).toBe('arch/arm64/kvm/psci.c');
  expect(sourceOf('riscv64', 2)).toBe('arch/riscv/kvm/vcpu_sbi.c');
  expect(sourceOf('amd64', 2)).toBe('arch/x86/kvm/x86.c');
  expect(sourceOf('s390x', 2)).toBeUndefined();
});

describe('what a person is told', () => {
  const told = (part: Partial<RawEvent & RawFields>) => {
    const raw: RawEvent = {
      form: 'fields',
      arch: 'x86_64',
      capability: 'present',
      capabilityNumber: null,
      type: 6,
      ndata: part.data?.length ?? null,
      data: [],
      flags: null,
      ...part,
    };
    const answer = normalize(raw);
    if (!answer.ok) throw new Error(answer.problem.code);
    return explain(answer.event);
  };
  const bitsOf = (part: Partial<RawEvent & RawFields>, word = 0) =>
    told(part).wordNotes[word]?.bits.map(({ meaning }) => meaning) ?? [];
  const registers = (part: Readonly<Record<number, bigint>>): bigint[] =>
    Array.from({ length: 16 }, (_, index) => part[index] ?? 0n);
  const MSR_PROTOCOL = 'sev_handle_vmgexit_msr_protocol';

  test.each([
    ['MSR protocol', 0x100n, MSR_PROTOCOL, '5.19'],
    ['NAE event', 0x7f5c000n, 'sev_handle_vmgexit (SVM_VMGEXIT_TERM_REQUEST)', '6.11'],
    ['preferred GPA', 0x010n, MSR_PROTOCOL, '6.11'],
    ['GPA registration', 0x1012n, MSR_PROTOCOL, '6.11'],
    ['page state change', 0x014n, MSR_PROTOCOL, '6.11'],
  ])('SEV_TERM by %s is of its own code path and release', (_, msr, name, since) => {
    const file = 'arch/x86/kvm/svm/sev.c';
    expect(told({ data: [msr] }).source).toEqual({ file, function: name, since });
  });

  test('only the three requests of SNP are called so', () => {
    expect(told({ data: [0x012n] }).wordNotes[0]?.meaning).toContain('only an SEV-SNP guest');
    const other = told({ data: [0x002n] });
    expect(JSON.stringify(other.wordNotes.map(({ meaning }) => meaning))).not.toContain('SNP');
    expect(other.source).toBeNull();
  });

  test('only the layout of mainline is said to be in mainline', () => {
    const sourceOf = (data: readonly bigint[]) => told({ type: 7, data }).source;
    expect(sourceOf(registers({}))).toMatchObject({ since: '6.16' });
    for (const count of [1, 2, 3, 10, 11]) expect(sourceOf(Array(count).fill(0n))).toBeNull();
    expect(sourceOf([0x10003n, 0n, 0n])).toBeNull();
  });

  test('the second calls of PSCI are younger than the events', () => {
    const since = (type: number, flags: bigint) =>
      told({ arch: 'arm64', type, data: [flags] }).source?.since;
    expect([since(1, 0n), since(1, 1n), since(2, 0n), since(2, 1n)]).toEqual([
      '3.16',
      '6.13',
      '3.16',
      '5.18',
    ]);
  });

  test('R13 holds an address only when bit 63 of R12 says so', () => {
    const meanings = (r12: bigint) => bitsOf({ type: 7, data: registers({ 12: r12 }) }, 12);
    expect(meanings(0n)).toContain('R13 holds no address');
    expect(meanings(1n << 63n)).toContain('R13 holds an address');
  });

  test('of an SBI word above 32 bits the upper ones are the fault', () => {
    const meanings = (value: bigint) => bitsOf({ arch: 'riscv64', type: 2, data: [value] });
    expect(meanings(1n)).toEqual(['SYSTEM_FAILURE', 'unused']);
    expect(meanings((1n << 32n) | 1n)).toEqual([
      'not taken for a reason',
      'not 0, as they must be: the fault',
    ]);
  });

  test('an old header on a new kernel is not called an old kernel', () => {
    for (const part of [
      { arch: 'arm64', type: 2, flags: 1n },
      { arch: 'x86_64', type: 2, flags: 1n },
      { arch: 'x86_64', type: 6, flags: 0x100n },
    ]) {
      const { anomalies, words } = told(part);
      const texts = [words, ...anomalies.flatMap(({ says, implies }) => [says, implies])];
      expect(texts.join('\n')).not.toMatch(
        /without (the )?capability|kernel wrote none|nobody wrote/,
      );
    }
  });
});
