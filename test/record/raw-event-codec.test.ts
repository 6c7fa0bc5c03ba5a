import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normalize } from '../../src/event/normalize.js';
import { RawEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import {
  problemFault,
  rawEventFromProto,
  rawEventToProto,
} from '../../src/record/raw-event-codec.js';
import { anyRaw } from '../event/raw-arbitrary.js';

const violations = (message: RawEvent | undefined) => {
  const parsed = rawEventFromProto(message);
  return parsed.ok ? [] : parsed.violations.map(({ field, value }) => [field, value]);
};

describe('a raw event from its message', () => {
  test('bytes', () => {
    const message = RawEvent.fromJSON({
      arch: 'arm64',
      abi: 'lp64',
      capability: 'CAPABILITY_PRESENT',
      capabilityNumber: 215,
      bytes: { record: Buffer.from([2, 0, 0, 0]).toString('base64'), byteOrder: 'BYTE_ORDER_BIG' },
    });
    expect(rawEventFromProto(message)).toEqual({
      ok: true,
      value: {
        form: 'bytes',
        arch: 'arm64',
        capability: 'present',
        capabilityNumber: 215,
        byteOrder: 'big',
        record: Buffer.from([2, 0, 0, 0]),
      },
    });
  });

  test('fields, absent ones as null', () => {
    const stated = { type: 2, ndata: 1, data: ['18446744073709551615'], flags: '0' };
    const context = { arch: 'x86_64', capability: 'notStated', capabilityNumber: null };
    expect(rawEventFromProto(RawEvent.fromJSON({ arch: 'x86_64', fields: stated }))).toEqual({
      ok: true,
      value: { ...context, form: 'fields', type: 2, ndata: 1, data: [(1n << 64n) - 1n], flags: 0n },
    });
    expect(rawEventFromProto(RawEvent.fromJSON({ arch: 'x86_64', fields: { type: 3 } }))).toEqual({
      ok: true,
      value: { ...context, form: 'fields', type: 3, ndata: null, data: [], flags: null },
    });
  });

  test('what is missing or unknown is told with its path', () => {
    expect(violations(undefined)).toEqual([['raw', undefined]]);
    expect(violations({ ...RawEvent.fromJSON({}), capability: 7 as never })).toEqual([
      ['raw.capability', '7'],
      ['raw', undefined],
    ]);
    const message = RawEvent.fromJSON({ bytes: { record: '' } });
    if (message.form?.$case === 'bytes') message.form.value.byteOrder = 3 as never;
    expect(violations(message)).toEqual([['raw.bytes.byte_order', '3']]);
  });

  test('a byte order that nobody stated is left to the normalizer', () => {
    expect(violations(RawEvent.fromJSON({ bytes: { record: '' } }))).toEqual([]);
  });
});

test('a raw event comes back from its message', () => {
  fc.assert(
    fc.property(anyRaw, (raw) => {
      const message = RawEvent.decode(RawEvent.encode(rawEventToProto(raw)).finish());
      // The wire has 0 for a number that was not stated.
      const capabilityNumber = raw.capabilityNumber || null;
      const record = raw.form === 'bytes' && { record: Buffer.from(raw.record) };
      expect(rawEventFromProto(message)).toEqual({
        ok: true,
        value: { ...raw, arch: message.arch, capabilityNumber, ...record },
      });
    }),
    { numRuns: 500 },
  );
});

describe('a problem as a fault', () => {
  const faultOf = (json: unknown) => {
    const raw = rawEventFromProto(RawEvent.fromJSON(json));
    const answer = raw.ok ? normalize(raw.value) : null;
    if (answer === null || answer.ok) throw new Error('expected a problem');
    return problemFault(answer.problem);
  };

  test.each([
    ['TRUNCATED', 'raw.bytes.record', { bytes: { record: 'AgAAAA==' } }],
    ['TRUNCATED', 'raw.fields.data', { capability: 1, fields: { type: 2, ndata: 1 } }],
    [
      'MISSING_CONTEXT',
      'raw.fields.ndata',
      { arch: 'x86_64', capability: 1, fields: { type: 6, data: ['256'] } },
    ],
    ['MISSING_CONTEXT', 'raw.arch', { bytes: { record: 'AgAAAAAAAAA=' } }],
    [
      'MISSING_CONTEXT',
      'raw.bytes.byte_order',
      { arch: 'arm64', bytes: { record: 'AgAAAAAAAAA=' } },
    ],
    ['BYTE_ORDER_SUSPECT', 'raw.fields.type', { arch: 'arm64', fields: { type: 0x02000000 } }],
    ['WRONG_CAPABILITY_NUMBER', 'raw.capability_number', { capabilityNumber: 214, fields: {} }],
  ])('%s at %s', (reason, field, json) => {
    const fault = faultOf(json);
    expect(fault).toMatchObject({ code: 'INVALID_ARGUMENT', reason });
    expect(fault.detail.violations).toHaveLength(1);
    expect(fault.detail.violations?.[0]).toMatchObject({ field, expected: expect.any(String) });
    expect(fault.message).toContain(field);
  });
});
