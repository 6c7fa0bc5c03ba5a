import type { Anomaly } from './anomaly.js';
import type { ArchFamily } from './arch.js';
import type { Problem } from './problem.js';
import type { RawEvent } from './raw-event.js';
import { MAX_WORDS, type Slots, tooFewWords } from './slots.js';

export interface Selection {
  readonly words: readonly bigint[];
  /** False: the count was there and can't be true (DATA_UNTRUSTED), so not even that there are no words is known. */
  readonly believable: boolean;
}

const NO_WORDS: Selection = { words: [], believable: true };
const UNTRUSTED: Selection = { words: [], believable: false };

/**
 * The words that the kernel wrote, and no others. With the capability ndata counts them. Without it only the
 * architectures that clear the whole struct before they fill it can be believed, for the types they fill.
 * Pushes onto `anomalies` what was odd. After `missingCount` and `missingWords` said null; a Problem is TRUNCATED.
 */
export const selectWords = (
  raw: RawEvent,
  slots: Slots,
  family: ArchFamily,
  anomalies: Anomaly[],
): Selection | Problem => {
  if (raw.capability === 'present' && slots.ndata !== null) {
    return countedWords(slots.ndata, slots, anomalies);
  }
  const selection = clearsItsStruct(family, slots.type)
    ? legacyWord(raw, slots, anomalies)
    : staleWords(anomalies);
  if (raw.capability === 'notStated') anomalies.push('CAP_UNKNOWN');
  return selection;
};

/**
 * MISSING_CONTEXT: the kernel wrote a count, and the report leaves it out. The length of `data` is none: a VMM's binding
 * has 16 words there whatever the kernel wrote. Nothing but `flags` comes from a header from before Linux 5.18, which
 * has no ndata, whatever its kernel writes; that is read as legacy.
 */
export const missingCount = (raw: RawEvent, { ndata, count, flags }: Slots): Problem | null =>
  raw.capability !== 'present' || ndata !== null || (count === 0 && flags !== null)
    ? null
    : {
        code: 'MISSING_CONTEXT',
        field: 'fields.ndata',
        value: 'not stated',
        expected: 'ndata of the record: the capability is present, so the kernel wrote it',
        advice:
          'State ndata as the kernel wrote it, 0 too; where the VMM has no such field, report the flags alone.',
      };

/** TRUNCATED when the kernel wrote more words, by a count that can be believed, than were reported. */
export const missingWords = (raw: RawEvent, { ndata, count, flags }: Slots): Problem | null => {
  if (raw.capability !== 'present' || ndata === null || ndata > MAX_WORDS) return null;
  // The union's other name for data[0] will do when that word is all there is.
  const words = count === 0 && flags !== null ? 1 : count;
  return words < ndata ? tooFewWords(raw, ndata, `ndata is ${ndata}`) : null;
};

/** KVM_CAP_SYSTEM_EVENT_DATA: ndata is written on every exit, and data holds that many words. */
const countedWords = (ndata: number, slots: Slots, anomalies: Anomaly[]): Selection => {
  if (ndata > MAX_WORDS) {
    // Not clamped: such a count is the evidence that nobody wrote it.
    anomalies.push('NDATA_OUT_OF_RANGE', 'DATA_UNTRUSTED');
    return UNTRUSTED;
  }
  const { count, flags } = slots;
  if (ndata === 0) {
    // The union's first word, which the kernel did not write on this exit.
    if (flags !== null && flags !== 0n) anomalies.push('STALE_IGNORED');
    return NO_WORDS;
  }
  if (count === 0 && flags !== null) return { words: [flags], believable: true };
  const words: bigint[] = [];
  for (let index = 0; index < ndata; index += 1) words.push(slots.word(index));
  if (flags !== null && flags !== words[0]) anomalies.push('ALIAS_CONFLICT');
  return { words, believable: true };
};

/**
 * arm, arm64 (arch/arm64/kvm/psci.c, kvm_prepare_system_event) and riscv (kvm_riscv_vcpu_sbi_system_reset)
 * memset system_event, so the word at offset 8 is theirs in every kernel. x86 never did.
 */
const clearsItsStruct = (family: ArchFamily, type: number): boolean =>
  (family === 'arm64' || family === 'riscv' || family === 'arm') &&
  (type === 1 || type === 2 || type === 4 || type === 5);

const legacyWord = (raw: RawEvent, slots: Slots, anomalies: Anomaly[]): Selection | Problem => {
  // A slot that was not sent is no oddity, however many words of data[16] came along.
  const slot = slots.ndata ?? 0;
  if (slot > 1) {
    anomalies.push('NDATA_WITHOUT_CAP', 'DATA_UNTRUSTED');
    return UNTRUSTED;
  }
  const word = slots.count > 0 ? slots.word(0) : slots.flags;
  if (word === null) return tooFewWords(raw, 1, 'a legacy record has its flags at offset 8');
  anomalies.push('LEGACY_FLAGS');
  if (slot === 1) anomalies.push('NDATA_WITHOUT_CAP');
  if (slots.flags !== null && slots.flags !== word) anomalies.push('ALIAS_CONFLICT');
  return { words: [word], believable: true };
};

const staleWords = (anomalies: Anomaly[]): Selection => {
  anomalies.push('STALE_IGNORED');
  return NO_WORDS;
};
