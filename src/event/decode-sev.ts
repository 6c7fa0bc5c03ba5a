import type { Anomaly } from './anomaly.js';
import type { EventDetail } from './system-event.js';

/** Bits 11:0 of the GHCB MSR say what the guest asks for (arch/x86/include/asm/sev-common.h, GHCB_MSR_INFO_MASK). */
const INFO_MASK = 0xfffn;
const TERM_REQ = 0x100n;
/** GHCB_MSR_TERM_REASON: bits 15:12 the set, bits 23:16 the code in it, nothing above. */
const BITS_ABOVE_REASON = 0xffff_ffff_ff00_0000n;

/** [set][code]; sets other than these belong to other guest software. */
const REASON_NAMES: readonly (readonly string[])[] = [
  ['GHCB_SEV_ES_GEN_REQ', 'GHCB_SEV_ES_PROT_UNSUPPORTED', 'GHCB_SNP_UNSUPPORTED'],
  [
    'GHCB_TERM_REGISTER',
    'GHCB_TERM_PSC',
    'GHCB_TERM_PVALIDATE',
    'GHCB_TERM_NOT_VMPL0',
    'GHCB_TERM_CPUID',
    'GHCB_TERM_CPUID_HV',
    'GHCB_TERM_SECRETS_PAGE',
    'GHCB_TERM_NO_SVSM',
    'GHCB_TERM_SVSM_VMPL0',
    'GHCB_TERM_SVSM_CAA',
    'GHCB_TERM_SECURE_TSC',
    'GHCB_TERM_SVSM_CA_REMAP_FAIL',
  ],
];

/**
 * arch/x86/kvm/svm/sev.c: data[0] is the GHCB MSR as the guest left it. By its low 12 bits a termination request of the
 * MSR protocol, the address of a GHCB page (the reason is then in that page only), or a request that the guest
 * had no right to. All of it is the guest's word, the address too.
 */
export const decodeSev = (data: readonly bigint[], anomalies: Anomaly[]): EventDetail => {
  const msr = data[0];
  if (msr === undefined) return { kind: 'none' };
  const info = msr & INFO_MASK;
  if (info === 0n) return { kind: 'ghcbNaeTermination', ghcbGpa: msr };
  if (info !== TERM_REQ) {
    anomalies.push('NO_REASON');
    return { kind: 'ghcbIllegalRequest', info: Number(info) };
  }
  const low = Number(msr & 0xff_ffffn);
  const reasonSet = (low >> 12) & 0xf;
  const reasonCode = low >> 16;
  const unknownBits = msr & BITS_ABOVE_REASON;
  if (unknownBits !== 0n) anomalies.push('UNKNOWN_BITS');
  const name = REASON_NAMES[reasonSet]?.[reasonCode] ?? null;
  return { kind: 'ghcbTermination', reasonSet, reasonCode, name, unknownBits };
};
