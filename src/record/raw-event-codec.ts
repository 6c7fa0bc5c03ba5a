import type { ByteOrder } from '../event/arch.js';
import type { Problem } from '../event/problem.js';
import type { RawBytes, RawEvent, RawFields } from '../event/raw-event.js';
import {
  ByteOrder as WireByteOrder,
  type RawEvent as WireRawEvent,
} from '../gen/vmwarden/v1/system_event.js';
import { Fault, type Violation } from '../lib/fault.js';
import { CAPABILITIES, CAPABILITY, type Parsed } from './system-event-codec.js';

/**
 * The raw event of a message, to be given to `normalize`. Violations bear paths below `path`, in the names
 * of the proto file: `raw.bytes.byte_order`.
 */
export const rawEventFromProto = (
  message: WireRawEvent | undefined,
  path = 'raw',
): Parsed<RawEvent> => {
  if (message === undefined) {
    return {
      ok: false,
      violations: [{ field: path, expected: 'the event as the kernel wrote it' }],
    };
  }
  const violations: Violation[] = [];
  const capability = CAPABILITIES.get(message.capability);
  if (capability === undefined) {
    violations.push({
      field: `${path}.capability`,
      value: String(message.capability),
      expected: 'CAPABILITY_PRESENT, CAPABILITY_ABSENT or CAPABILITY_UNSPECIFIED',
    });
  }
  const form = formFromProto(message.form, path, violations);
  if (form === null || capability === undefined) return { ok: false, violations };
  const { arch } = message;
  const capabilityNumber = message.capabilityNumber === 0 ? null : message.capabilityNumber;
  return { ok: true, value: { arch, capability, capabilityNumber, ...form } };
};

const formFromProto = (
  form: WireRawEvent['form'],
  path: string,
  violations: Violation[],
): RawBytes | RawFields | null => {
  if (form === undefined) {
    violations.push({ field: path, expected: `${path}.bytes or ${path}.fields` });
    return null;
  }
  if (form.$case === 'fields') {
    const { type, ndata, data, flags } = form.value;
    return { form: 'fields', type, ndata: ndata ?? null, data, flags: flags ?? null };
  }
  const byteOrder = BYTE_ORDERS.get(form.value.byteOrder);
  if (byteOrder === undefined) {
    violations.push({
      field: `${path}.bytes.byte_order`,
      value: String(form.value.byteOrder),
      expected: 'BYTE_ORDER_LITTLE or BYTE_ORDER_BIG',
    });
    return null;
  }
  return { form: 'bytes', record: form.value.record, byteOrder };
};

const BYTE_ORDERS: ReadonlyMap<number, ByteOrder | null> = new Map([
  [WireByteOrder.UNSPECIFIED, null],
  [WireByteOrder.LITTLE, 'little'],
  [WireByteOrder.BIG, 'big'],
]);

/** The message of a raw event. `rawEventFromProto` gives an equal one back. */
export const rawEventToProto = (raw: RawEvent): WireRawEvent => ({
  arch: raw.arch,
  abi: '',
  capability: CAPABILITY[raw.capability],
  capabilityNumber: raw.capabilityNumber ?? 0,
  form:
    raw.form === 'bytes'
      ? {
          $case: 'bytes',
          value: {
            record: Buffer.from(raw.record),
            byteOrder: WIRE_BYTE_ORDER[raw.byteOrder ?? 'notStated'],
          },
        }
      : {
          $case: 'fields',
          value: {
            type: raw.type,
            ndata: raw.ndata ?? undefined,
            data: [...raw.data],
            flags: raw.flags ?? undefined,
          },
        },
});

const WIRE_BYTE_ORDER = {
  little: WireByteOrder.LITTLE,
  big: WireByteOrder.BIG,
  notStated: WireByteOrder.UNSPECIFIED,
} as const;

/** What the reporter gets for a raw event that can't be understood: INVALID_ARGUMENT, with the problem's code as reason. */
export const problemFault = (problem: Problem, path = 'raw'): Fault => {
  const { code, value, expected, advice } = problem;
  const field = `${path}.${problem.field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
  return new Fault(
    'INVALID_ARGUMENT',
    code,
    `${field}: ${value}; expected ${expected}. ${advice}`,
    {
      violations: [{ field, value, expected: `${expected}. ${advice}` }],
    },
  );
};
