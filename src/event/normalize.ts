import type { Anomaly } from './anomaly.js';
import { type ArchFamily, findArch } from './arch.js';
import { decodeArm64 } from './decode-arm64.js';
import { decodeRiscv } from './decode-riscv.js';
import { decodeX86 } from './decode-x86.js';
import type { EventType } from './event-type.js';
import { boundedName } from './guest-text.js';
import { findKernelEvent } from './kernel-events.js';
import type { Problem } from './problem.js';
import { type RawEvent, SYSTEM_EVENT_DATA_CAPABILITY } from './raw-event.js';
import { missingCount, missingWords, type Selection, selectWords } from './select-words.js';
import { type Slots, slotsOf } from './slots.js';
import type { EventDetail, SystemEvent } from './system-event.js';

export type Normalized =
  | { readonly ok: true; readonly event: SystemEvent }
  | { readonly ok: false; readonly problem: Problem };

/** KVM_SYSTEM_EVENT_NDATA_VALID of kvm/next in April 2022; no release has it. */
const DIALECT_BIT = 0x8000_0000;
/** Bytes kept of an architecture's name that nothing here knows; a cut one ends in `...`. */
const MAX_ARCH_BYTES = 32;

/**
 * What the kernel said, and nothing that it did not say. Never throws, and looks at no word behind those that the
 * kernel wrote. docs/system-events.md has the rules as a table.
 */
export const normalize = (raw: RawEvent): Normalized => {
  const slots = slotsOf(raw);
  if ('code' in slots) return { ok: false, problem: slots };
  const problem =
    wrongCapability(raw) ??
    missingCount(raw, slots) ??
    missingWords(raw, slots) ??
    swappedBytes(raw, slots);
  if (problem !== null) return { ok: false, problem };
  if (slots.type >= DIALECT_BIT) return { ok: true, event: dialectEvent(raw, slots.type) };

  const anomalies: Anomaly[] = [];
  const family = findArch(raw.arch)?.family ?? 'other';
  const selection = selectWords(raw, slots, family, anomalies);
  if ('code' in selection) return { ok: false, problem: selection };
  const data = selection.words;

  const known = findKernelEvent(slots.type);
  if (known === undefined) {
    anomalies.push('UNKNOWN_TYPE');
    const detail: EventDetail = { kind: 'unknown', rawType: slots.type, dialect: null };
    return { ok: true, event: event(raw, 'UNKNOWN', slots.type, data, detail, anomalies) };
  }
  markMissingData(raw, slots.type, selection, anomalies);
  if (known.emittedBy[family] === undefined) {
    anomalies.push('UNEXPECTED_ARCH');
    return {
      ok: true,
      event: event(raw, known.type, slots.type, data, { kind: 'none' }, anomalies),
    };
  }
  const detail = decode(family, known.type, selection, anomalies);
  return { ok: true, event: event(raw, known.type, slots.type, data, detail, anomalies) };
};

const decode = (
  family: ArchFamily,
  type: EventType,
  selection: Selection,
  anomalies: Anomaly[],
): EventDetail => {
  switch (family) {
    case 'arm':
    case 'arm64':
      return decodeArm64(type, selection.words, anomalies);
    case 'riscv':
      return decodeRiscv(selection.words, anomalies);
    case 'x86':
      return decodeX86(type, selection, anomalies);
    case 'other':
      return { kind: 'none' };
  }
};

const event = (
  raw: RawEvent,
  type: EventType,
  rawType: number,
  data: readonly bigint[],
  detail: EventDetail,
  anomalies: readonly Anomaly[],
): SystemEvent => ({
  type,
  rawType,
  data,
  detail,
  anomalies,
  capability: raw.capability,
  arch: findArch(raw.arch)?.name ?? boundedName(raw.arch, MAX_ARCH_BYTES),
});

/** Two incompatible layouts had this bit, so no word behind the type can be placed. */
const dialectEvent = (raw: RawEvent, rawType: number): SystemEvent =>
  event(raw, 'UNKNOWN', rawType, [], { kind: 'unknown', rawType, dialect: 'KVM_NEXT_2022' }, [
    'DIALECT_NOT_DECODED',
  ]);

/** SEV_TERM and TDX_FATAL say nothing without their words, and are younger than the capability. */
const markMissingData = (
  raw: RawEvent,
  rawType: number,
  { words, believable }: Selection,
  anomalies: Anomaly[],
): void => {
  if ((rawType !== 6 && rawType !== 7) || words.length > 0) return;
  if (raw.capability === 'present') {
    // A count out of range says by itself that there is nothing to read.
    if (believable) anomalies.push('DATA_MISSING');
  } else if (rawType === 6) {
    anomalies.push('SEV_TERM_WITHOUT_CAP');
  }
};

const wrongCapability = ({ capabilityNumber }: RawEvent): Problem | null =>
  capabilityNumber === null || capabilityNumber === SYSTEM_EVENT_DATA_CAPABILITY
    ? null
    : {
        code: 'WRONG_CAPABILITY_NUMBER',
        field: 'capabilityNumber',
        value: String(capabilityNumber),
        expected: '215 (KVM_CAP_SYSTEM_EVENT_DATA)',
        advice: numberAdvice(capabilityNumber),
      };

const numberAdvice = (asked: number): string =>
  asked === 214
    ? 'Ask KVM_CHECK_EXTENSION for 215: 214 is KVM_CAP_VM_TSC_CONTROL, which says nothing about ndata.'
    : 'Ask KVM_CHECK_EXTENSION for 215: no other number says anything about ndata. ' +
      '214, its neighbour, is KVM_CAP_VM_TSC_CONTROL.';

/** No kernel has a type of 2^24 or more; byte-swapped 1 to 7 are. */
const swappedBytes = (raw: RawEvent, slots: Slots): Problem | null => {
  const swapped = slots.type >>> 24;
  if ((slots.type & 0x00ff_ffff) !== 0 || swapped < 1 || swapped > 7) return null;
  const type = `0x${slots.type.toString(16)}`;
  return raw.form === 'bytes'
    ? {
        code: 'BYTE_ORDER_SUSPECT',
        field: 'bytes.byteOrder',
        value: `${raw.byteOrder}, in which the type reads ${type}`,
        expected: `${raw.byteOrder === 'big' ? 'little' : 'big'}, in which the type reads ${swapped}`,
        advice:
          'State the byte order of the host that ran the guest, not of the host that reports.',
      }
    : {
        code: 'BYTE_ORDER_SUSPECT',
        field: 'fields.type',
        value: type,
        expected: `${swapped}, if the bytes were swapped`,
        advice:
          'Swap the bytes of every number of the report (type, ndata, data, flags): fields are numbers, and have no byte order to state.',
      };
};
