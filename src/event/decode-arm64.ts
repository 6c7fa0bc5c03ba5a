import type { Anomaly } from './anomaly.js';
import type { EventType } from './event-type.js';
import type { EventDetail } from './system-event.js';

/**
 * Bit 0 of data[0] (arch/arm64/include/uapi/asm/kvm.h): KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2 on a RESET,
 * KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2 on a SHUTDOWN. The same bit, two meanings.
 */
const SECOND_CALL = 1n;

/** arch/arm64/kvm/psci.c. The reset type and the cookie of a SYSTEM_RESET2 are in guest registers, never here. */
export const decodeArm64 = (
  type: EventType,
  data: readonly bigint[],
  anomalies: Anomaly[],
): EventDetail => {
  const flags = data[0];
  switch (type) {
    case 'SHUTDOWN':
    case 'RESET':
      return flags === undefined ? { kind: 'none' } : psciDetail(type, flags, anomalies);
    case 'SUSPEND':
      // It has no flags word, so none of its bits are flags either: the word stays in data.
      if (flags) anomalies.push('UNKNOWN_BITS');
      return { kind: 'psci', call: 'SYSTEM_SUSPEND', hibernate: false, unknownBits: 0n };
    default:
      if (flags) anomalies.push('UNKNOWN_BITS');
      return { kind: 'none' };
  }
};

const psciDetail = (
  type: 'SHUTDOWN' | 'RESET',
  flags: bigint,
  anomalies: Anomaly[],
): EventDetail => {
  const second = (flags & SECOND_CALL) !== 0n;
  const unknownBits = flags & ~SECOND_CALL;
  if (unknownBits !== 0n) anomalies.push('UNKNOWN_BITS');
  return type === 'SHUTDOWN'
    ? { kind: 'psci', call: second ? 'SYSTEM_OFF2' : 'SYSTEM_OFF', hibernate: second, unknownBits }
    : {
        kind: 'psci',
        call: second ? 'SYSTEM_RESET2' : 'SYSTEM_RESET',
        hibernate: false,
        unknownBits,
      };
};
