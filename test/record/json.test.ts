import { describe, expect, test } from 'vitest';
import { vmmEvent } from '../../src/event/vmm-event.js';
import {
  Contact,
  Disposition,
  Phase,
  PolicyMode,
  type Record,
  StepState,
} from '../../src/gen/vmwarden/v1/record.js';
import { Initiator, Origin } from '../../src/gen/vmwarden/v1/system_event.js';
import { recordJson, sequencedRecordJson } from '../../src/record/json.js';
import { systemEventToProto } from '../../src/record/system-event-codec.js';

const at = new Date('2026-11-22T17:00:00.123Z');
const record = (body: Record['body']): Record => ({
  recordedAt: at,
  vmId: 'web-1',
  incidentId: 'i-7',
  monotonicUs: 5_000_250n,
  body,
});

const eventBody = {
  event: systemEventToProto(
    vmmEvent('CRASH', { reason: 'guest-panic', action: 'pause', arguments: [0x1en], text: 'x' }),
  ),
  origin: Origin.CLOUD_HYPERVISOR,
  initiator: Initiator.GUEST,
  disposition: Disposition.DECIDED,
  vmUid: 'u',
  bootId: 'b',
  bootEpoch: 3n,
  occurredAt: at,
  key: {
    key: {
      $case: 'sourceSequence' as const,
      value: { source: 's', instance: 'i', sequence: (1n << 64n) - 1n },
    },
  },
  reconciled: true,
  count: 2,
  firstAt: undefined,
  fromDriver: true,
  ofEarlierBoot: false,
};

describe('a record in our own JSON', () => {
  test('event', () => {
    expect(recordJson(record({ $case: 'event', value: eventBody }))).toEqual({
      recordedAt: '2026-11-22T17:00:00.123Z',
      vmId: 'web-1',
      incidentId: 'i-7',
      monotonicUs: 5_000_250,
      kind: 'event',
      event: {
        event: {
          type: 'CRASH',
          data: [],
          detail: { reason: 'guest-panic', action: 'pause', arguments: ['0x1e'], text: 'x' },
          anomalies: [],
          rawType: null,
          capability: 'NOT_STATED',
          arch: '',
        },
        origin: 'CLOUD_HYPERVISOR',
        initiator: 'GUEST',
        disposition: 'DECIDED',
        vmUid: 'u',
        bootId: 'b',
        bootEpoch: 3,
        occurredAt: '2026-11-22T17:00:00.123Z',
        key: { sourceSequence: { source: 's', instance: 'i', sequence: '18446744073709551615' } },
        reconciled: true,
        count: 2,
        firstAt: null,
        fromDriver: true,
        ofEarlierBoot: false,
        keptUid: null,
      },
    });
  });

  test('decision', () => {
    const planned = {
      verb: 'restart',
      timeoutMs: 30000n,
      retries: 2,
      continueOnFailure: false,
      inProcess: false,
      awaitEvent: '',
      otherwise: [],
    };
    const value = {
      eventSequence: 41n,
      mode: PolicyMode.ENFORCE,
      rule: 'crashed',
      ruleLine: 12,
      reasons: ['first attempt'],
      plan: [planned],
      budget: {
        name: 'crash',
        before: 0,
        after: 1,
        limit: 3,
        withinMs: 3600000n,
        exhausted: false,
      },
      policyHash: 'abc',
      now: at,
      monotonicMs: 5n,
      hostBootId: 'h',
      notBefore: undefined,
      outOfReach: true,
      inputs: { labels: { tier: 'gold' }, host: 'h1', hostVms: 2, hostDying: 1, storm: false },
      conditionError: '',
    };
    expect(recordJson(record({ $case: 'decision', value }))['decision']).toEqual({
      ...value,
      eventSequence: 41,
      mode: 'ENFORCE',
      plan: [{ ...planned, timeoutMs: 30000 }],
      budget: { ...value.budget, withinMs: 3600000 },
      now: '2026-11-22T17:00:00.123Z',
      monotonicMs: 5,
      notBefore: null,
    });
  });

  test('step, vm, policy, operator, loss', () => {
    const step = {
      index: 0,
      verb: 'dump',
      state: StepState.APPLIED,
      attempt: 1,
      reason: '',
      message: '',
      proof: ['file there'],
      elapsedNs: 12n,
      path: 'a.elf',
      bytesDone: 1n << 60n,
      bytesTotal: 0n,
      charged: '',
      refunded: 'crash',
    };
    expect(recordJson(record({ $case: 'step', value: step }))['step']).toEqual({
      ...step,
      state: 'APPLIED',
      elapsedNs: 12,
      bytesDone: '1152921504606846976',
      bytesTotal: 0,
    });
    const vm = {
      uid: 'u',
      driver: 'qemu',
      contact: Contact.LOST,
      state: 'paused',
      bootId: '',
      bootEpoch: 1n,
      phase: Phase.HELD,
      reason: 'r',
      continuous: false,
    };
    expect(recordJson(record({ $case: 'vm', value: vm }))['vm']).toEqual({
      ...vm,
      contact: 'LOST',
      bootEpoch: 1,
      phase: 'HELD',
    });
    const policy = {
      name: 'p',
      hash: 'h',
      mode: PolicyMode.OBSERVE,
      source: 's',
      atStart: true,
      hostBootId: 'b',
    };
    expect(recordJson(record({ $case: 'policy', value: policy }))['policy']).toEqual({
      ...policy,
      mode: 'OBSERVE',
    });
    const operator = {
      actor: 'a',
      reason: 'r',
      verb: 'hold',
      requestId: 'q',
      detail: 'd',
      budget: 'b',
    };
    expect(recordJson(record({ $case: 'operator', value: operator }))['operator']).toEqual(
      operator,
    );
    const loss = { firstSequence: 1n, lastSequence: 9n, reason: 'age' };
    expect(recordJson(record({ $case: 'loss', value: loss }))['loss']).toEqual({
      firstSequence: 1,
      lastSequence: 9,
      reason: 'age',
    });
  });

  test('what no calendar has, what a newer vmwarden wrote, and an empty record do not break it', () => {
    expect(
      sequencedRecordJson(7n, { ...record(undefined), recordedAt: new Date(Number.NaN) }),
    ).toEqual({
      sequence: 7,
      recordedAt: null,
      vmId: 'web-1',
      incidentId: 'i-7',
      monotonicUs: 5_000_250,
      kind: null,
    });
    const event = { ...eventBody.event, anomalies: [99 as never] };
    const value = { ...eventBody, event, origin: 42 as never, key: undefined };
    expect(recordJson(record({ $case: 'event', value }))['event']).toMatchObject({
      event: {
        unreadable: ['event.anomalies[0]: expected an anomaly this version knows'],
        proto: { type: 'EVENT_TYPE_CRASH' },
      },
      origin: 42,
      key: null,
    });
  });
});
