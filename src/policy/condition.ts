import {
  TypeError as CelTypeError,
  Environment,
  EvaluationError,
  ParseError,
} from '@marcbachmann/cel-js';
import { type Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator';
import { ANOMALIES } from '../event/anomaly.js';
import { EVENT_TYPES, type EventType } from '../event/event-type.js';
import { INITIATORS, ORIGINS } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import { type ConditionProblem, durationsIn, fence, type Span } from './condition-fence.js';
import { countWithin, MAX_COUNTED } from './history.js';
import type { Condition, ConditionResult, Question } from './policy.js';
import { labelOf } from './selector.js';

export type Compiled =
  | { readonly ok: true; readonly condition: Condition }
  | { readonly ok: false; readonly problems: readonly ConditionProblem[] };

export type CompileCondition = (text: string) => Compiled;

/** The words of conditions: event types, and the others in capitals with underscores. */
export const wordOf = (name: string): string => name.toUpperCase().replaceAll('-', '_');

export const CONDITION_WORDS: readonly string[] = [
  ...new Set([...EVENT_TYPES, ...INITIATORS.map(wordOf), ...ORIGINS.map(wordOf), ...ANOMALIES]),
];

/** Reads and checks an expression. Never throws. This is the one file that runs the CEL library. */
export const compileCondition: CompileCondition = (text) => {
  const problem = (offset: number, message: string, hint = ''): Compiled => ({
    ok: false,
    problems: [{ offset, message, hint }],
  });
  try {
    const program = environment().parse(text);
    const fenced = fence(program.ast);
    if (fenced.length > 0) return { ok: false, problems: fenced };
    const checked = program.check();
    if (!checked.valid) {
      const { offset, message } = located(checked.error);
      return problem(offset, message);
    }
    if (checked.type !== 'bool') {
      return problem(0, `is of type ${checked.type}; expected bool`, 'compare it with something');
    }
    const quick = environment().parse(withConstants(text, durationsIn(program.ast)));
    return { ok: true, condition: { text, test: (question) => run(quick, question) } };
  } catch (error) {
    const { offset, message } = located(error);
    return problem(offset, message);
  }
};

/** The library reads a duration's text anew at each evaluation, which takes longer than all else: name them instead. */
const withConstants = (text: string, durations: readonly Span[]): string =>
  durations.reduceRight((rest, { start, end }) => {
    const name = constantFor(text.slice(start, end));
    return `${rest.slice(0, start)}${name}${rest.slice(end)}`;
  }, text);

const constants = new Map<string, string>();

const constantFor = (call: string): string => {
  const known = constants.get(call);
  if (known !== undefined) return known;
  const name = `duration${constants.size}`;
  const env = environment();
  env.registerConstant(name, 'google.protobuf.Duration', env.evaluate(call));
  constants.set(call, name);
  return name;
};

type Program = ReturnType<Environment['parse']>;

const run = (program: Program, question: Question): ConditionResult => {
  try {
    return { ok: true, holds: program(subjectOf(question)) === true };
  } catch (error) {
    return { ok: false, why: located(error).message };
  }
};

const located = (error: unknown): { readonly offset: number; readonly message: string } => {
  if (
    error instanceof ParseError ||
    error instanceof CelTypeError ||
    error instanceof EvaluationError
  ) {
    return { offset: error.range?.start ?? 0, message: error.summary };
  }
  return { offset: 0, message: error instanceof Error ? error.message : String(error) };
};

class EventSubject {
  readonly #question: Question;
  readonly type: string;
  readonly initiator: string;
  readonly origin: string;
  readonly anomalies: readonly string[];
  readonly arch: string;

  constructor(question: Question) {
    this.#question = question;
    this.type = question.event.type;
    this.initiator = wordOf(question.initiator);
    this.origin = wordOf(question.origin);
    this.anomalies = question.event.anomalies;
    this.arch = question.event.arch;
  }

  get data(): readonly UnsignedInt[] {
    return this.#question.event.data.map((word) => new UnsignedInt(word));
  }
  get reason(): string {
    return reasonOf(this.#question.event.detail);
  }
  get text(): string {
    return textOf(this.#question.event.detail);
  }
  get ageSeconds(): bigint {
    return BigInt(Math.floor(this.#question.ageMs / 1_000));
  }
}

class VmSubject {
  readonly id: string;
  readonly uid: string;
  readonly question: Question;

  constructor(question: Question) {
    this.id = question.vm.id;
    this.uid = question.vm.uid;
    this.question = question;
  }
}

class HostSubject {
  readonly #question: Question;
  readonly name: string;

  constructor(question: Question) {
    this.#question = question;
    this.name = question.host.name;
  }

  get vms(): bigint {
    return BigInt(this.#question.host.vms);
  }
  get dying(): bigint {
    return BigInt(this.#question.host.dying);
  }
  get storm(): boolean {
    return this.#question.host.storm === 'on';
  }
}

interface Subjects {
  readonly [name: string]: unknown;
}

/** One question is put to many conditions in a row. */
let latest: { readonly question: Question; readonly subjects: Subjects } | null = null;

const subjectOf = (question: Question): Subjects => {
  if (latest?.question === question) return latest.subjects;
  const subjects = {
    event: new EventSubject(question),
    vm: new VmSubject(question),
    host: new HostSubject(question),
  };
  latest = { question, subjects };
  return subjects;
};

const reasonOf = (detail: SystemEvent['detail']): string => {
  switch (detail.kind) {
    case 'vmm':
    case 'sbiReset':
      return detail.reason;
    case 'psci':
      return detail.call;
    case 'hyperv':
      return detail.origin;
    case 'ghcbTermination':
      return detail.name ?? '';
    case 'none':
    case 'ghcbNaeTermination':
    case 'ghcbIllegalRequest':
    case 'tdx':
    case 'unknown':
      return '';
  }
};

const textOf = (detail: SystemEvent['detail']): string => {
  switch (detail.kind) {
    case 'vmm':
      return detail.text;
    case 'tdx':
      return detail.message ?? '';
    default:
      return '';
  }
};

/** Counts as CEL has them; a conversion would cost more than the counting. */
const COUNTS: readonly bigint[] = Array.from({ length: MAX_COUNTED + 1 }, (_, count) =>
  BigInt(count),
);

let made: Environment | null = null;

/** Made at the first condition: an operator without one doesn't pay for it. */
const environment = (): Environment => {
  if (made !== null) return made;
  const env = new Environment({
    homogeneousAggregateLiterals: true,
    limits: {
      maxAstNodes: 500,
      maxDepth: 50,
      maxListElements: 32,
      maxMapEntries: 32,
      maxCallArguments: 8,
    },
  });
  env.registerType('Event', {
    ctor: EventSubject,
    fields: {
      type: 'string',
      initiator: 'string',
      origin: 'string',
      anomalies: 'list<string>',
      arch: 'string',
      data: 'list<uint>',
      reason: 'string',
      text: 'string',
      ageSeconds: 'int',
    },
  });
  env.registerType('Vm', { ctor: VmSubject, fields: { id: 'string', uid: 'string' } });
  env.registerType('Host', {
    ctor: HostSubject,
    fields: { name: 'string', vms: 'int', dying: 'int', storm: 'bool' },
  });
  env.registerVariable('event', 'Event');
  env.registerVariable('vm', 'Vm');
  env.registerVariable('host', 'Host');
  for (const word of CONDITION_WORDS) env.registerConstant(word, 'string', word);
  const text = (name: string) => ({ name, type: 'string' });
  env.registerFunction({
    name: 'label',
    receiverType: 'Vm',
    returnType: 'string',
    params: [text('key')],
    async: false,
    handler: ({ question }: VmSubject, key: string) => labelOf(question.vm.labels, key) ?? '',
  });
  env.registerFunction({
    name: 'hasLabel',
    receiverType: 'Vm',
    returnType: 'bool',
    params: [text('key')],
    async: false,
    handler: ({ question }: VmSubject, key: string) =>
      labelOf(question.vm.labels, key) !== undefined,
  });
  env.registerFunction({
    name: 'count',
    receiverType: 'Vm',
    returnType: 'int',
    params: [text('type'), { name: 'within', type: 'google.protobuf.Duration' }],
    async: false,
    handler: ({ question }: VmSubject, type: EventType, within: Duration) =>
      COUNTS[countWithin(question.history, type, within.valueOf(), question.now)],
  });
  made = env;
  return env;
};
