import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { normalize } from '../../src/event/normalize.js';
import { decodedJson } from '../../src/record/event-json.js';

interface Capture {
  readonly kernel: string;
  readonly arch: string;
  readonly guestCall: string;
  readonly exitReason: number;
  readonly capSystemEventData: number;
  readonly rawHex: string;
}

const captures: readonly Capture[] = readFileSync(
  new URL('../data/captures.jsonl', import.meta.url),
  'utf8',
)
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));

/** What the guest asked for, by the words of whoever took the capture, as the event should say it. */
const expected = ({ arch, guestCall, capSystemEventData }: Capture): object => {
  const cap = capSystemEventData > 0;
  if (arch === 'x86_64') {
    const crash = guestCall.includes('CRASH');
    return {
      type: crash ? 'CRASH' : 'RESET',
      data: [],
      detail: { origin: crash ? 'HYPERV_CRASH_MSR' : 'HYPERV_RESET_MSR' },
      anomalies: cap ? [] : ['STALE_IGNORED'],
    };
  }
  if (arch === 'riscv64') return srst(guestCall);
  const call = /SYSTEM_[A-Z]+2?(?=[_ ,])/.exec(guestCall)?.[0] ?? '';
  if (guestCall.includes('(WAKEUP)')) {
    return { type: 'WAKEUP', data: [], detail: {}, anomalies: [] };
  }
  if (call === 'SYSTEM_SUSPEND') {
    return { type: 'SUSPEND', data: [], detail: { psci: call }, anomalies: [] };
  }
  return {
    type: call === 'SYSTEM_OFF' ? 'SHUTDOWN' : 'RESET',
    data: [call === 'SYSTEM_RESET2' ? '0x1' : '0x0'],
    detail: { psci: call },
    anomalies: cap ? [] : ['LEGACY_FLAGS'],
  };
};

/** The SBI call, its reason cut to 32 bits as the kernel does. */
const srst = (guestCall: string): object => {
  const [, type, reason] = /type=(\d).* reason=(\w+)/.exec(guestCall) ?? [];
  const value = BigInt.asUintN(32, BigInt(reason ?? '0'));
  const name =
    value === 0n
      ? 'NO_REASON'
      : value === 1n
        ? 'SYSTEM_FAILURE'
        : value >> 28n === 0xfn
          ? 'VENDOR_OR_PLATFORM_SPECIFIC'
          : value >> 28n === 0xen
            ? 'SBI_IMPLEMENTATION_SPECIFIC'
            : 'RESERVED';
  const word = `0x${value.toString(16)}`;
  return {
    type: type === '0' ? 'SHUTDOWN' : 'RESET',
    data: [word],
    detail: { sbiResetReason: name, ...(value > 1n && { value: word }) },
    anomalies: [],
  };
};

describe('the records of real kernels', () => {
  test('are all there, with the exits that are no system events', () => {
    expect(captures).toHaveLength(93);
    expect(captures.filter(({ exitReason }) => exitReason !== 24)).toHaveLength(41);
  });

  test.each(captures.filter(({ exitReason }) => exitReason === 24))(
    '$kernel: $guestCall',
    (capture) => {
      const answer = normalize({
        form: 'bytes',
        arch: capture.arch,
        byteOrder: 'little',
        capability: capture.capSystemEventData > 0 ? 'present' : 'absent',
        capabilityNumber: 215,
        record: Buffer.from(capture.rawHex, 'hex'),
      });
      expect(answer.ok && decodedJson(answer.event)).toEqual(expected(capture));
    },
  );
});
