/** A named oddity of an event. What is merely odd is kept and marked, never dropped. */
export const ANOMALIES = [
  'LEGACY_FLAGS',
  'NDATA_WITHOUT_CAP',
  'STALE_IGNORED',
  'CAP_UNKNOWN',
  'NDATA_OUT_OF_RANGE',
  'DATA_UNTRUSTED',
  'DATA_MISSING',
  'SEV_TERM_WITHOUT_CAP',
  'UNKNOWN_TYPE',
  'UNKNOWN_BITS',
  'UNEXPECTED_ARCH',
  'UNKNOWN_LAYOUT',
  'DOWNSTREAM_LAYOUT',
  'RESERVED_CODE',
  'NO_REASON',
  'MESSAGE_SANITIZED',
  'DIALECT_NOT_DECODED',
  'ALIAS_CONFLICT',
  'BOOT_UNSTATED',
  'CONDITION_ERROR',
] as const;

export type Anomaly = (typeof ANOMALIES)[number];

export interface AnomalyNote {
  /** What it says, a clause. */
  readonly says: string;
  /** What follows for whoever decides or reports, a sentence. */
  readonly implies: string;
}

/** What each anomaly says of an event, and what follows from it. */
export const ANOMALY_NOTES: Readonly<Record<Anomaly, AnomalyNote>> = {
  LEGACY_FLAGS: {
    says: 'data[0] is the legacy flags word, taken without a count that can be believed',
    implies: 'The word can be trusted: this architecture clears the struct before it fills it.',
  },
  NDATA_WITHOUT_CAP: {
    says: 'the ndata slot is not 0 though the kernel is not said to have capability 215',
    implies:
      'Half of the change was backported, or the capability was not asked for: state what the kernel answers.',
  },
  STALE_IGNORED: {
    says: 'what stands where words would was ignored: no count that can be believed covers it',
    implies: 'Such bytes are left of an earlier exit and may hold guest data.',
  },
  CAP_UNKNOWN: {
    says: 'the reporter did not state capability 215, so the record was read as if it were absent',
    implies:
      'Let the VMM ask KVM_CHECK_EXTENSION(215) once and report the answer: words may be lost.',
  },
  NDATA_OUT_OF_RANGE: {
    says: 'ndata is above 16, which no kernel writes on purpose',
    implies: 'Nobody wrote the count, so no word was read; it was not cut to 16.',
  },
  DATA_UNTRUSTED: {
    says: 'the words can not be told from stale bytes and were dropped',
    implies: 'Unless a rule names this anomaly, the event only notifies.',
  },
  DATA_MISSING: {
    says: 'this type carries its reason in words, and the report has none that can be believed',
    implies:
      'Why the guest ended is not known here; the host kernel log may say it. A VMM built with a header older than 5.18 sees no words.',
  },
  SEV_TERM_WITHOUT_CAP: {
    says: 'SEV_TERM came from a kernel that is not said to have capability 215',
    implies:
      'No mainline kernel is so: SEV_TERM is younger. Check which number the reporter asks for.',
  },
  UNKNOWN_TYPE: {
    says: 'the raw type has no name here',
    implies: 'A newer or a foreign kernel. Unless a rule names UNKNOWN, the event only notifies.',
  },
  UNKNOWN_BITS: {
    says: 'the first word has bits that have no meaning here',
    implies:
      'A newer or a foreign kernel, or a value that the guest chose; the known part is decoded.',
  },
  UNEXPECTED_ARCH: {
    says: 'no kernel of this architecture emits this type',
    implies: 'The architecture is misstated, or the kernel is a foreign one; nothing was decoded.',
  },
  UNKNOWN_LAYOUT: {
    says: 'TDX_FATAL with a number of words that no kernel is known to write',
    implies: 'The words are kept and not decoded.',
  },
  DOWNSTREAM_LAYOUT: {
    says: 'TDX_FATAL in a layout from before Linux 6.16',
    implies: 'The host runs a vendor kernel of that time; the number of words told the layout.',
  },
  RESERVED_CODE: {
    says: 'the TDX error code is not 0, the only one that is defined',
    implies: 'It may still be a panic: only the guest knows what it meant.',
  },
  NO_REASON: {
    says: 'KVM ended the guest over a request in the GHCB MSR that is none to terminate',
    implies: 'There is no reason code; the low 12 bits say which request it was.',
  },
  MESSAGE_SANITIZED: {
    says: 'bytes of the guest text were escaped',
    implies: 'The guest sent other than printable ASCII; take the text for hostile.',
  },
  DIALECT_NOT_DECODED: {
    says: 'bit 31 of the type is set: kvm/next of April 2022, which was never released',
    implies: 'Two layouts had that bit, so nothing behind the type was read.',
  },
  ALIAS_CONFLICT: {
    says: 'flags and data[0] are one word of the kernel, and the report has two values for it',
    implies: 'data[0] was taken. Let the VMM report one of them.',
  },
  BOOT_UNSTATED: {
    says: 'the source did not say of which boot the event is',
    implies: 'vmwarden acts only if the VMM shows the state that the event speaks of.',
  },
  CONDITION_ERROR: {
    says: 'a condition of the policy failed while it looked at this event',
    implies: 'Nothing was done; mend the rule that the decision names.',
  },
};
