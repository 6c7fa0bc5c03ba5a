import type { Anomaly } from './anomaly.js';
import { decodeSev } from './decode-sev.js';
import { decodeTdx } from './decode-tdx.js';
import type { EventType } from './event-type.js';
import type { Selection } from './select-words.js';
import type { EventDetail } from './system-event.js';

/** CRASH and RESET are Hyper-V's on x86: an ordinary reboot goes through a device of the VMM and never comes here. */
export const decodeX86 = (
  type: EventType,
  selection: Selection,
  anomalies: Anomaly[],
): EventDetail => {
  switch (type) {
    case 'CRASH':
      return decodeHyperv('HYPERV_CRASH_MSR', selection, anomalies);
    case 'RESET':
      return decodeHyperv('HYPERV_RESET_MSR', selection, anomalies);
    case 'SEV_TERM':
      return decodeSev(selection.words, anomalies);
    case 'TDX_FATAL':
      return decodeTdx(selection.words, anomalies);
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
  { words, believable }: Selection,
  anomalies: Anomaly[],
): EventDetail => {
  if (words.length === 0) return believable ? { kind: 'hyperv', origin } : { kind: 'none' };
  if (words[0] !== 0n) anomalies.push('UNKNOWN_BITS');
  return { kind: 'none' };
};
