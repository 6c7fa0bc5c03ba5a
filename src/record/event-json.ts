import type { EventDetail, SystemEvent } from '../event/system-event.js';

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** A 64-bit word in our own JSON: lower-case hex with 0x, never a number (those end at 2^53). */
export const hex = (word: bigint | number): string => `0x${word.toString(16)}`;

/** What `decode` prints of an event: type, data, detail, anomalies. */
export const decodedJson = ({ type, data, detail, anomalies }: SystemEvent): JsonObject => ({
  type,
  data: data.map(hex),
  detail: detailJson(detail),
  anomalies,
});

const CAPABILITY_WORDS = { present: 'PRESENT', absent: 'ABSENT', notStated: 'NOT_STATED' } as const;

/** A whole event: as `decode` prints it, with its context. */
export const eventJson = (event: SystemEvent): JsonObject => ({
  ...decodedJson(event),
  rawType: event.rawType === null ? null : hex(event.rawType),
  capability: CAPABILITY_WORDS[event.capability],
  arch: event.arch,
});

/** The keys of docs/system-events.md; those that say nothing of this event are left out. */
export const detailJson = (detail: EventDetail): JsonObject => {
  switch (detail.kind) {
    case 'none':
      return {};
    case 'psci':
      return {
        psci: detail.call,
        ...(detail.hibernate && { hibernate: true }),
        ...unknownBits(detail.unknownBits),
      };
    case 'sbiReset':
      return {
        sbiResetReason: detail.reason,
        ...(detail.value > 1n && { value: hex(detail.value) }),
      };
    case 'hyperv':
      return { origin: detail.origin };
    case 'ghcbTermination':
      return {
        ghcb: 'MSR_PROTOCOL_TERM',
        reasonSet: detail.reasonSet,
        reasonCode: detail.reasonCode,
        name: detail.name,
        ...unknownBits(detail.unknownBits),
      };
    case 'ghcbNaeTermination':
      return { ghcb: 'NAE_TERM_REQUEST', ghcbGpa: hex(detail.ghcbGpa) };
    case 'ghcbIllegalRequest':
      return {
        ghcb: 'ILLEGAL_MSR_REQUEST',
        info: `0x${detail.info.toString(16).padStart(3, '0')}`,
      };
    case 'tdx':
      return {
        layout: detail.layout,
        errorCode: hex(detail.errorCode),
        ...(detail.extendedCode !== 0 && { extendedCode: hex(detail.extendedCode) }),
        panic: detail.panic,
        gpaValid: detail.gpa !== null,
        ...(detail.gpa !== null && { gpa: hex(detail.gpa) }),
        ...(detail.regMask !== null && { regMask: hex(detail.regMask) }),
        ...(detail.message !== undefined && { message: detail.message }),
      };
    case 'unknown':
      return {
        rawType: hex(detail.rawType),
        ...(detail.dialect !== null && { dialect: detail.dialect }),
      };
    case 'vmm':
      return {
        reason: detail.reason,
        action: detail.action,
        arguments: detail.arguments.map(hex),
        text: detail.text,
      };
  }
};

const unknownBits = (bits: bigint): JsonObject => (bits === 0n ? {} : { unknownBits: hex(bits) });
