import type { Anomaly } from './anomaly.js';
import { escapeText } from './guest-text.js';
import type { EventDetail } from './system-event.js';

/** R14, R15, RBX, RDI, RSI, R8, R9, RDX as instruction-encoding numbers: where the guest's text lies (GHCI). */
export const MESSAGE_REGISTERS: readonly number[] = [14, 15, 3, 7, 6, 8, 9, 2];
const MAX_MESSAGE_BYTES = 64;
/** TDG.VP.VMCALL<ReportFatalError>. */
const REPORT_FATAL_ERROR = 0x10003n;
/** R12: bits 31:0 the error code, 62:32 the guest's extended code, 63 says that R13 is an address. */
const GPA_VALID = 1n << 63n;

/**
 * arch/x86/kvm/vmx/tdx.c, tdx_report_fatal_error: 16 words are the general registers by number. Intel's trees and the
 * patch series before it used the same type for three other layouts, which the count of words tells apart.
 */
export const decodeTdx = (data: readonly bigint[], anomalies: Anomaly[]): EventDetail => {
  if (data.length === 0) return { kind: 'none' };
  if (data.length === 16) {
    const mask = word(data, 1);
    const message = mask === 0n ? null : messageText(exposedWords(data, mask), anomalies);
    return tdxDetail('GPR16', word(data, 12), word(data, 13), mask, message, anomalies);
  }
  if (data.length === 1 || data.length > 10) {
    anomalies.push('UNKNOWN_LAYOUT');
    return { kind: 'none' };
  }
  anomalies.push('DOWNSTREAM_LAYOUT');
  if (data.length === 3 && data[0] === REPORT_FATAL_ERROR) {
    return tdxDetail('TDX3', word(data, 1), word(data, 2), null, undefined, anomalies);
  }
  const layout = data.length === 10 ? 'GHCI10' : 'GHCI_PACKED';
  const message = data.length === 2 ? null : messageText(data.slice(2), anomalies);
  return tdxDetail(layout, word(data, 0), word(data, 1), null, message, anomalies);
};

const tdxDetail = (
  layout: 'GPR16' | 'TDX3' | 'GHCI10' | 'GHCI_PACKED',
  r12: bigint,
  r13: bigint,
  regMask: bigint | null,
  message: string | null | undefined,
  anomalies: Anomaly[],
): EventDetail => {
  const errorCode = Number(r12 & 0xffff_ffffn);
  if (errorCode !== 0) anomalies.push('RESERVED_CODE');
  return {
    kind: 'tdx',
    layout,
    errorCode,
    extendedCode: Number((r12 & ~GPA_VALID) >> 32n),
    panic: errorCode === 0,
    gpa: (r12 & GPA_VALID) === 0n ? null : r13,
    regMask,
    message,
  };
};

/** Bit n of RCX: the guest exposed register n. */
export const exposes = (mask: bigint, register: number): boolean =>
  ((mask >> BigInt(register)) & 1n) === 1n;

/** The message registers that the guest exposed, closed up in the order of the text. */
const exposedWords = (registers: readonly bigint[], mask: bigint): readonly bigint[] =>
  MESSAGE_REGISTERS.filter((register) => exposes(mask, register)).map((register) =>
    word(registers, register),
  );

const messageText = (words: readonly bigint[], anomalies: Anomaly[]): string => {
  const bytes = new Uint8Array(8 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((value, index) => {
    // Low byte first whatever the host: the registers hold text of an x86 guest.
    view.setBigUint64(8 * index, value, true);
  });
  const { text, changed } = escapeText(bytes, MAX_MESSAGE_BYTES);
  if (changed) anomalies.push('MESSAGE_SANITIZED');
  return text;
};

const word = (data: readonly bigint[], index: number): bigint => data[index] ?? 0n;
