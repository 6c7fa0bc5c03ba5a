import { expect, test } from 'vitest';
import { vmmEvent } from '../../src/event/vmm-event.js';

test('an event of a VMM has no words of the kernel', () => {
  expect(vmmEvent('WATCHDOG', { reason: 'watchdog', action: 'pause' })).toEqual({
    type: 'WATCHDOG',
    rawType: null,
    data: [],
    detail: { kind: 'vmm', reason: 'watchdog', action: 'pause', arguments: [], text: '' },
    anomalies: [],
    capability: 'notStated',
    arch: '',
  });
});

test('what came from the guest is bounded, escaped and marked', () => {
  const event = vmmEvent('CRASH', {
    reason: 'guest-panic',
    arguments: [-1n, 1n << 64n, ...Array(20).fill(7n)],
    text: `\u001b]0;${'x'.repeat(5000)}`,
  });
  expect(event.detail).toMatchObject({
    arguments: [0xffff_ffff_ffff_ffffn, 0n, ...Array(14).fill(7n)],
    text: `\\x1b]0;${'x'.repeat(1020)}`,
  });
  expect(event.anomalies).toEqual(['MESSAGE_SANITIZED']);
});
