/** Why a raw event can't be understood at all. What is merely odd is an anomaly, never a problem. */
export type ProblemCode =
  | 'TRUNCATED'
  | 'MISSING_CONTEXT'
  | 'BYTE_ORDER_SUSPECT'
  | 'WRONG_CAPABILITY_NUMBER';

export interface Problem {
  readonly code: ProblemCode;
  /** Path inside the raw event: `bytes.record`, `fields.data`, `arch`. */
  readonly field: string;
  /** What stood there, in words or numbers; never bytes of the record that may hold guest memory. */
  readonly value: string;
  readonly expected: string;
  /** What the reporter can do about it, a sentence. */
  readonly advice: string;
}
