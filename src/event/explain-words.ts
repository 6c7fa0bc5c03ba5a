import { exposes, MESSAGE_REGISTERS } from './decode-tdx.js';
import { SNP_ONLY_REQUESTS } from './kernel-events.js';
import type { EventDetail, SystemEvent } from './system-event.js';

export interface WordNote {
  /** `data[0]`. */
  readonly name: string;
  readonly value: bigint;
  readonly meaning: string;
  readonly bits: readonly BitNote[];
}

export interface BitNote {
  /** `63:32`, or `0`. */
  readonly bits: string;
  readonly value: bigint;
  readonly meaning: string;
}

/** Each word of an event, and its bits where they are more than one thing. */
export const explainWords = (event: SystemEvent): readonly WordNote[] =>
  event.data.map((value, index) => ({
    name: `data[${index}]`,
    value,
    ...meaningOf(event, value, index),
  }));

type Meaning = Omit<WordNote, 'name' | 'value'>;

const meaningOf = (event: SystemEvent, value: bigint, index: number): Meaning => {
  const { detail } = event;
  if (detail.kind === 'tdx') return tdxMeaning(detail, event.data.length, value, index);
  if (index > 0) return plain('kept, no meaning here');
  switch (detail.kind) {
    case 'psci':
      return psciMeaning(detail, value);
    case 'sbiReset':
      return sbiMeaning(detail, value);
    case 'ghcbTermination':
      return {
        meaning: 'GHCB MSR: a termination request',
        bits: [
          bits(value, 11, 0, 'GHCB_MSR_TERM_REQ'),
          bits(value, 15, 12, setName(detail.reasonSet)),
          bits(value, 23, 16, detail.name ?? 'a code without a name here'),
          bits(value, 63, 24, detail.unknownBits === 0n ? 'unused' : 'no meaning here'),
        ],
      };
    case 'ghcbNaeTermination':
      return plain('GHCB MSR: the guest-physical address of its GHCB page, not to be trusted');
    case 'ghcbIllegalRequest':
      return illegalRequestMeaning(detail.info, value);
    default:
      return plain('kept, not decoded');
  }
};

const psciMeaning = (detail: Extract<EventDetail, { kind: 'psci' }>, value: bigint): Meaning => {
  if (detail.call === 'SYSTEM_SUSPEND') return plain('flags: none are defined for SUSPEND');
  const off = detail.call === 'SYSTEM_OFF' || detail.call === 'SYSTEM_OFF2';
  const flag = off
    ? 'KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2'
    : 'KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2';
  return {
    meaning: `flags of the PSCI call, ${detail.call}`,
    bits: [
      bits(value, 0, 0, flag),
      bits(value, 63, 1, detail.unknownBits === 0n ? 'unused' : 'no meaning here'),
    ],
  };
};

const sbiMeaning = (detail: Extract<EventDetail, { kind: 'sbiReset' }>, value: bigint): Meaning => {
  const isReason = detail.reason !== 'INVALID';
  return {
    meaning: isReason ? 'SBI reset reason' : 'no SBI reset reason: those have 32 bits',
    bits: [
      bits(value, 31, 0, isReason ? detail.reason : 'not taken for a reason'),
      bits(value, 63, 32, isReason ? 'unused' : 'not 0, as they must be: the fault'),
    ],
  };
};

const illegalRequestMeaning = (info: number, value: bigint): Meaning => {
  const request = SNP_ONLY_REQUESTS.get(info);
  const meaning =
    request === undefined
      ? 'GHCB MSR: a request for which no mainline kernel is known to end a guest'
      : 'GHCB MSR: a request that only an SEV-SNP guest may make';
  return {
    meaning,
    bits: [
      bits(value, 11, 0, request ?? 'no request that is known here'),
      bits(value, 63, 12, 'what the guest sent with it'),
    ],
  };
};

const setName = (set: number): string =>
  ['reasons of the GHCB specification', 'reasons of a Linux guest'][set] ??
  'reasons of other guest software';

const REGISTERS = 'RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15'.split(' ');

const tdxMeaning = (
  detail: Extract<EventDetail, { kind: 'tdx' }>,
  count: number,
  value: bigint,
  index: number,
): Meaning => {
  if (count === 16) return gprMeaning(detail, value, index);
  const [code, address] = detail.layout === 'TDX3' ? [1, 2] : [0, 1];
  if (index === code) return errorMeaning('R12', value);
  if (index === address) return plain(addressMeaning('R13', detail));
  return plain(detail.layout === 'TDX3' ? 'R11: ReportFatalError' : 'text of the guest');
};

const gprMeaning = (
  detail: Extract<EventDetail, { kind: 'tdx' }>,
  value: bigint,
  index: number,
): Meaning => {
  const name = REGISTERS[index] ?? '';
  switch (name) {
    case 'RAX':
      return plain('RAX: what TDH.VP.ENTER returned, not the guest register');
    case 'RCX':
      return plain(`RCX: registers that the guest exposed: ${exposedNames(value)}`);
    case 'RSP':
    case 'RBP':
      return plain(`${name}: always 0`);
    case 'R10':
      return plain('R10: 0 for a standard TDVMCALL');
    case 'R11':
      return plain('R11: 0x10003 for ReportFatalError');
    case 'R12':
      return errorMeaning(name, value);
    case 'R13':
      return plain(addressMeaning(name, detail));
    default:
      return plain(
        MESSAGE_REGISTERS.includes(index) && exposes(detail.regMask ?? 0n, index)
          ? `${name}: text of the guest`
          : `${name}: not exposed`,
      );
  }
};

const exposedNames = (mask: bigint): string =>
  REGISTERS.filter((_, register) => exposes(mask, register)).join(' ') || 'none';

const errorMeaning = (register: string, value: bigint): Meaning => ({
  meaning: `${register}: error code`,
  bits: [
    bits(value, 31, 0, (value & 0xffff_ffffn) === 0n ? 'panic' : 'reserved'),
    bits(value, 62, 32, 'extended code, the guest defines it'),
    bits(value, 63, 63, value >> 63n === 1n ? 'R13 holds an address' : 'R13 holds no address'),
  ],
});

const addressMeaning = (
  register: string,
  { gpa }: Extract<EventDetail, { kind: 'tdx' }>,
): string =>
  gpa === null
    ? `${register}: not said to be an address`
    : `${register}: guest-physical address of a shared page with more text, not to be trusted`;

const plain = (meaning: string): Meaning => ({ meaning, bits: [] });

const bits = (word: bigint, high: number, low: number, meaning: string): BitNote => ({
  bits: high === low ? `${high}` : `${high}:${low}`,
  value: (word >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n),
  meaning,
});
