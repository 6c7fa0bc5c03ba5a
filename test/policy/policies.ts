import type { Clock, Moment } from '../../src/lib/clock.js';
import { compileCondition } from '../../src/policy/condition.js';
import { parsePolicy } from '../../src/policy/parse.js';
import type { Policy, Question } from '../../src/policy/policy.js';
import { formatProblem } from '../../src/policy/problem.js';

/** A policy from the YAML of its `spec`, which must be good. */
export const policyOf = (spec: string): Policy => {
  const parsed = parsePolicy(documentOf(spec), 'policy.yaml', compileCondition);
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  return parsed.policy;
};

/** The first line of `spec` is line 5 of the file. */
export const documentOf = (spec: string): string =>
  [
    'apiVersion: vmwarden.dev/v1',
    'kind: EventPolicy',
    'metadata: { name: test }',
    'spec:',
    ...spec
      .replace(/^\n|\n *$/g, '')
      .split('\n')
      .map((line) => `  ${line}`),
    '',
  ].join('\n');

export const moment = (ms: number, hostBootId = 'boot-1'): Moment => ({
  wallMs: 1_760_000_000_000 + ms,
  monoMs: ms,
  hostBootId,
});

export const question = (
  overrides: Partial<Omit<Question, 'event'>> & { event?: Partial<Question['event']> } = {},
): Question => ({
  origin: 'qmp',
  initiator: 'guest',
  ageMs: 0,
  incident: 'incident-1',
  held: false,
  attempts: {},
  now: moment(10_000_000),
  vm: { id: 'web-1', uid: '', labels: {} },
  history: {},
  host: { name: 'host-1', vms: 1, dying: 0, storm: 'calm' },
  ...overrides,
  event: {
    type: 'CRASH',
    rawType: 3,
    data: [],
    detail: { kind: 'none' },
    anomalies: [],
    capability: 'notStated',
    arch: 'x86_64',
    ...overrides.event,
  },
});

/** A host whose clocks a test moves. */
export class TestHost implements Clock {
  #trueMs = 0;
  #bootedAtMs = 0;
  #boots = 1;
  #stepMs = 0;

  get trueMs(): number {
    return this.#trueMs;
  }
  get bootId(): string {
    return `boot-${this.#boots}`;
  }
  pass(ms: number): void {
    this.#trueMs += ms;
  }
  stepWallClock(ms: number): void {
    this.#stepMs += ms;
  }
  reboot(): void {
    this.#boots += 1;
    this.#bootedAtMs = this.#trueMs;
  }
  now(): Moment {
    return {
      wallMs: 1_760_000_000_000 + this.#trueMs + this.#stepMs,
      monoMs: this.#trueMs - this.#bootedAtMs,
      hostBootId: this.bootId,
    };
  }
}
