import type { Anomaly } from './anomaly.js';
import type { EventDetail } from './system-event.js';

type SbiResetReason = Extract<EventDetail, { kind: 'sbiReset' }>['reason'];

/**
 * arch/riscv/kvm/vcpu_sbi_replace.c, kvm_sbi_ext_srst_handler: data[0] is the 32-bit reset reason of the SBI call. Its
 * reset type chose SHUTDOWN or RESET and is lost then, so a cold reboot can't be told from a warm one.
 */
export const decodeRiscv = (data: readonly bigint[], anomalies: Anomaly[]): EventDetail => {
  const value = data[0];
  if (value === undefined) return { kind: 'none' };
  const reason = sbiResetReason(value);
  if (reason === 'INVALID') anomalies.push('UNKNOWN_BITS');
  return { kind: 'sbiReset', reason, value };
};

/** The ranges of the SBI specification, System Reset Extension. */
const sbiResetReason = (value: bigint): SbiResetReason => {
  if (value === 0n) return 'NO_REASON';
  if (value === 1n) return 'SYSTEM_FAILURE';
  if (value <= 0xdfff_ffffn) return 'RESERVED';
  if (value <= 0xefff_ffffn) return 'SBI_IMPLEMENTATION_SPECIFIC';
  if (value <= 0xffff_ffffn) return 'VENDOR_OR_PLATFORM_SPECIFIC';
  return 'INVALID';
};
