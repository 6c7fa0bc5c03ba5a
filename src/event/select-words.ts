import type { Anomaly } from './anomaly.js';
import type { ArchFamily } from './arch.js';
import type { Problem } from './problem.js';
import type { RawEvent } from './raw-event.js';
import { MAX_WORDS, type Slots, tooFewWords } from './slots.js';

/**
 * The words that the kernel wrote, and no others. With the capability ndata counts them. Without it only the
 * architectures that clear the whole struct before they fill it can be believed, for the types they fill.
 * Pushes onto `anomalies` what was odd. After `missingWords` said null; a Problem is TRUNCATED.
 */
export const selectWords = (
  raw: RawEvent,
  slots: Slots,
  family: ArchFamily,
  anomalies: Anomaly[],
): readonly bigint[] | Problem => {
  if (raw.capability === 'present' && !isLegacyReport(slots)) {
    return countedWords(slots, anomalies);
  }
  const words = clearsItsStruct(family, slots.type)
    ? legacyWords(raw, slots, anomalies)
    : staleWords(anomalies);
  if (raw.capability === 'notStated') anomalies.push('CAP_UNKNOWN');
  return words;
};

/** Only the flags: a reporter built with a header from before 5.18 can't see ndata, whatever its kernel writes. */
const isLegacyReport = ({ ndata, count, flags }: Slots): boolean =>
  ndata === null && count === 0 && flags !== null;

/** TRUNCATED when the kernel wrote more words, by a count that can be believed, than were reported. */
export const missingWords = (raw: RawEvent, { ndata, count, flags }: Slots): Problem | null => {
  if (raw.capability !== 'present' || ndata === null || ndata > MAX_WORDS) return null;
  // The union's other name for data[0] will do when that word is all there is.
  const words = count === 0 && flags !== null ? 1 : count;
  return words < ndata ? tooFewWords(raw, ndata, `ndata is ${ndata}`) : null;
};

/** KVM_CAP_SYSTEM_EVENT_DATA: ndata is written on every exit, and data holds that many words. */
const countedWords = (slots: Slots, anomalies: Anomaly[]): readonly bigint[] => {
  const ndata = slots.ndata ?? slots.count;
  if (ndata > MAX_WORDS) {
    // Not clamped: such a count is the evidence that nobody wrote it.
    anomalies.push('NDATA_OUT_OF_RANGE', 'DATA_UNTRUSTED');
    return [];
  }
  if (ndata === 0) return [];
  if (slots.count === 0 && slots.flags !== null) return [slots.flags];
  const words: bigint[] = [];
  for (let index = 0; index < ndata; index += 1) words.push(slots.word(index));
  if (slots.flags !== null && slots.flags !== words[0]) anomalies.push('ALIAS_CONFLICT');
  return words;
};

/**
 * arm, arm64 (arch/arm64/kvm/psci.c, kvm_prepare_system_event) and riscv (kvm_riscv_vcpu_sbi_system_reset)
 * memset system_event, so the word at offset 8 is theirs in every kernel. x86 never did.
 */
const clearsItsStruct = (family: ArchFamily, type: number): boolean =>
  (family === 'arm64' || family === 'riscv' || family === 'arm') &&
  (type === 1 || type === 2 || type === 4 || type === 5);

const legacyWords = (
  raw: RawEvent,
  slots: Slots,
  anomalies: Anomaly[],
): readonly bigint[] | Problem => {
  const slot = slots.ndata ?? (slots.count > 1 ? slots.count : 0);
  if (slot > 1) {
    anomalies.push('NDATA_WITHOUT_CAP', 'DATA_UNTRUSTED');
    return [];
  }
  const word = slots.count > 0 ? slots.word(0) : slots.flags;
  if (word === null) return tooFewWords(raw, 1, 'a legacy record has its flags at offset 8');
  anomalies.push('LEGACY_FLAGS');
  if (slot === 1) anomalies.push('NDATA_WITHOUT_CAP');
  if (slots.flags !== null && slots.flags !== word) anomalies.push('ALIAS_CONFLICT');
  return [word];
};

const staleWords = (anomalies: Anomaly[]): readonly bigint[] => {
  anomalies.push('STALE_IGNORED');
  return [];
};
