import type { Anomaly } from './anomaly.js';
import { decodeSev } from './decode-sev.js';
import { decodeTdx } from './decode-tdx.js';
import type { EventType } from './event-type.js';
import type { EventDetail } from './system-event.js';

/** CRASH and RESET are Hyper-V's on x86: an ordinary reboot goes through a device of the VMM and never comes here. */
export const decodeX86 = (
  type: EventType,
  data: readonly bigint[],
  anomalies: Anomaly[],
): EventDetail => {
  switch (type) {
    case 'CRASH':
      return decodeHyperv('HYPERV_CRASH_MSR', data, anomalies);
    case 'RESET':
      return decodeHyperv('HYPERV_RESET_MSR', data, anomalies);
    case 'SEV_TERM':
      return decodeSev(data, anomalies);
    case 'TDX_FATAL':
      return decodeTdx(data, anomalies);
    default:
      return { kind: 'none' };
  }
};

/**
 * arch/x86/kvm/x86.c, vcpu_enter_guest: no words; the crash parameters stay in the guest's MSRs. A kernel that sends
 * words, or a count that nobody wrote, is not the one we know: then nothing is concluded.
 */
const decodeHyperv = (
  origin: 'HYPERV_CRASH_MSR' | 'HYPERV_RESET_MSR',
  data: readonly bigint[],
  anomalies: Anomaly[],
): EventDetail => {
  if (data.length === 0) {
    return anomalies.includes('DATA_UNTRUSTED') ? { kind: 'none' } : { kind: 'hyperv', origin };
  }
  if (data[0] !== 0n) anomalies.push('UNKNOWN_BITS');
  return { kind: 'none' };
};
