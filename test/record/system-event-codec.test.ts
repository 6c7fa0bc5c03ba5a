import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normalize } from '../../src/event/normalize.js';
import type { SystemEvent } from '../../src/event/system-event.js';
import { vmmEvent } from '../../src/event/vmm-event.js';
import { SystemEvent as WireSystemEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import { systemEventFromProto, systemEventToProto } from '../../src/record/system-event-codec.js';
import { anyRaw, FUZZ_TIMEOUT, fuzz, word } from '../event/raw-arbitrary.js';

const kernelEvent: fc.Arbitrary<SystemEvent> = anyRaw.map((raw) => {
  const answer = normalize(raw);
  return answer.ok ? answer.event : vmmEvent('VMM_ERROR', { reason: answer.problem.code });
});
const eventOfVmm: fc.Arbitrary<SystemEvent> = fc
  .record({
    type: fc.constantFrom('CRASH', 'CRASH_LOADED', 'WATCHDOG', 'VMM_ERROR', 'VMM_EXITED'),
    reason: fc.string(),
    action: fc.string(),
    arguments: fc.array(word),
    text: fc.string({ unit: 'binary' }),
  })
  .map(({ type, ...facts }) => vmmEvent(type, facts));

/** Key order is the shapes' own; undefined counts. */
const text = (value: unknown): string =>
  JSON.stringify(value, (_, part) =>
    typeof part === 'bigint' ? `${part}n` : part === undefined ? 'undefined' : part,
  );
const sorted = (event: SystemEvent): string =>
  text({ ...event, detail: Object.entries(event.detail).sort() });

const reread = (message: WireSystemEvent): string => {
  const parsed = systemEventFromProto(message);
  return parsed.ok ? sorted(parsed.value) : text({ refused: parsed.violations });
};

test(
  'an event comes back equal through protobuf and through proto3 JSON',
  () => {
    fc.assert(
      fc.property(fc.oneof(kernelEvent, eventOfVmm), (event) => {
        const message = systemEventToProto(event);
        const binary = WireSystemEvent.decode(WireSystemEvent.encode(message).finish());
        const json = WireSystemEvent.fromJSON(
          JSON.parse(JSON.stringify(WireSystemEvent.toJSON(message))),
        );
        return reread(binary) === sorted(event) && reread(json) === sorted(event);
      }),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

test('a word above 2^53 is decimal text in proto3 JSON, to the last bit', () => {
  const answer = normalize({
    form: 'fields',
    arch: 'x86_64',
    capability: 'present',
    capabilityNumber: null,
    type: 6,
    ndata: 1,
    data: [0xffff_ffff_ffff_f100n],
    flags: null,
  });
  const json =
    answer.ok && JSON.stringify(WireSystemEvent.toJSON(systemEventToProto(answer.event)));
  expect(json).toContain('"data":["18446744073709547776"]');
});

describe('what this version does not know', () => {
  const message = systemEventToProto(vmmEvent('CRASH', { reason: 'guest-panic' }));

  test('is a violation with its path', () => {
    const parsed = systemEventFromProto(
      {
        ...message,
        type: 99 as never,
        anomalies: [77 as never],
        capability: 9 as never,
        detail: { $case: 'hyperv', value: { origin: 'HYPERV_NEW' } },
      },
      'record.event',
    );
    expect(!parsed.ok && parsed.violations.map(({ field, value }) => [field, value])).toEqual([
      ['record.event.type', '99'],
      ['record.event.anomalies[0]', '77'],
      ['record.event.capability', '9'],
      ['record.event.hyperv.origin', 'HYPERV_NEW'],
    ]);
  });

  test.each([
    ['psci', { $case: 'psci', value: { call: 'SYSTEM_NAP', hibernate: false, unknownBits: 0n } }],
    ['sbiReset', { $case: 'sbiReset', value: { reason: 'BORED', value: 2n } }],
    ['unknown', { $case: 'unknown', value: { rawType: 9, dialect: 'KVM_NEXT_2032' } }],
  ] as const)('is refused in the detail: %s', (_, detail) => {
    expect(systemEventFromProto({ ...message, detail }).ok).toBe(false);
  });
});
