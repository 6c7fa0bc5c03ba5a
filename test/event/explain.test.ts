import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ANOMALIES, ANOMALY_NOTES } from '../../src/event/anomaly.js';
import { explain } from '../../src/event/explain.js';
import { findKernelEvent, KERNEL_EVENTS } from '../../src/event/kernel-events.js';
import { normalize } from '../../src/event/normalize.js';
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
      abi: '',
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
