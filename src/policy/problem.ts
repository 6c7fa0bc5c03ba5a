/**
 * What can be wrong with a policy file. An id never changes its meaning and is never used again;
 * new ones are added at the end of their group.
 */
export const PROBLEMS = {
  // The text.
  syntax: 'VW-P001',
  tooLarge: 'VW-P002',
  yamlFeature: 'VW-P003',
  duplicateKey: 'VW-P004',
  unreadable: 'VW-P005',
  // The shape.
  unknownKey: 'VW-P010',
  missing: 'VW-P011',
  wrongType: 'VW-P012',
  unknownWord: 'VW-P013',
  outOfRange: 'VW-P014',
  duration: 'VW-P015',
  stepShape: 'VW-P016',
  timestamp: 'VW-P017',
  // VW-P020 was what a version knew and didn't carry out.
  // The meaning.
  undefinedBudget: 'VW-P030',
  duplicateRule: 'VW-P031',
  unreachableRule: 'VW-P032',
  exhaustedWithoutBudget: 'VW-P033',
  stepsAfterEnd: 'VW-P034',
  exhaustedRestarts: 'VW-P035',
  delayBeyondMaxWait: 'VW-P036',
  budgetWithoutAct: 'VW-P037',
  selector: 'VW-P038',
  // Conditions.
  condition: 'VW-P040',
} as const;

export const WARNINGS = {
  restartWithoutBudget: 'VW-W001',
  otherwiseActs: 'VW-W002',
  unusedBudget: 'VW-W003',
} as const;

export type ProblemId = (typeof PROBLEMS)[keyof typeof PROBLEMS];
export type WarningId = (typeof WARNINGS)[keyof typeof WARNINGS];

/** A place in the file, both from 1; columns count UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface PolicyProblem extends Position {
  readonly id: ProblemId;
  readonly file: string;
  /** As its writer knows it: `spec.rules[0].on[1]`; empty for the file as a whole. */
  readonly path: string;
  /** Names the value and what was expected. */
  readonly message: string;
  /** What to do; empty when the message says it. */
  readonly hint: string;
}

/** Allowed, and most likely not what was meant. */
export interface PolicyWarning extends Omit<PolicyProblem, 'id'> {
  readonly id: WarningId;
}

/** `file:line:column: id path: message (hint)`, on one line. */
export const formatProblem = (problem: PolicyProblem | PolicyWarning): string => {
  const place = `${problem.file}:${problem.line}:${problem.column}:`;
  const path = problem.path === '' ? '' : ` ${problem.path}:`;
  const hint = problem.hint === '' ? '' : ` (${problem.hint})`;
  return `${place} ${problem.id}${path} ${problem.message}${hint}`;
};

export type Path = readonly (string | number)[];

export const formatPath = (path: Path): string =>
  path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? quote(part) : `${text}.${quote(part)}`;
  }, '');

const quote = (key: string): string => (/^[\w-]+$/.test(key) ? key : printable(key));

/** A value as it may stand in a message: JSON without control characters, at most `maxLength` characters. */
export const printable = (value: unknown, maxLength = 60): string => {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  // JSON leaves DEL, C1 controls, line separators and bidi overrides as they are.
  const safe = text.replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, '?');
  return safe.length <= maxLength ? safe : `${safe.slice(0, maxLength - 3)}...`;
};
