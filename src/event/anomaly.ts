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
