import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { unmet } from '../../src/cli/policy/expectation.js';
import { type CaseAnswer, runCase } from '../../src/engine/replay/run-case.js';
import { ANOMALIES } from '../../src/event/anomaly.js';
import { EVENT_TYPES } from '../../src/event/event-type.js';
import { parseCases } from '../../src/policy/cases.js';
import { compileCondition } from '../../src/policy/condition.js';
import { decide } from '../../src/policy/decide.js';
import { STEP_WORDS } from '../../src/policy/document.js';
import { remember } from '../../src/policy/history.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { PROBLEMS, WARNINGS } from '../../src/policy/problem.js';
import { moment, question } from './policies.js';

const page = await readFile(new URL('../../docs/policy.md', import.meta.url), 'utf8');
const all = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? '');
const examples = all.filter((text) => !text.includes('kind: PolicyTest'));
const [cases = ''] = all.filter((text) => text.includes('kind: PolicyTest'));
const names = examples.map((text) => /name: ([\w-]+)/.exec(text)?.[1] ?? '');

it('has the whole file and six recipes', () => {
  expect(names).toEqual([
    'production',
    'look-first',
    'keep-evidence',
    'always-on',
    'reset-loop',
    'tiers',
    'kdump',
  ]);
});

it.each(names.map((name, index) => [name, examples[index] ?? ''] as const))(
  'example %s is a good policy without a warning',
  (name, text) => {
    const parsed = parsePolicy(text, `${name}.yaml`, compileCondition);
    expect(parsed).toMatchObject({ ok: true, warnings: [], policy: { name } });
  },
);

it('has cases that hold of the whole file', () => {
  const policy = parsePolicy(examples[0] ?? '', 'production.yaml', compileCondition);
  const parsed = parseCases(cases, 'cases.yaml');
  if (!policy.ok || !parsed.ok) throw new Error(JSON.stringify([policy, parsed]));
  expect(parsed.cases).toHaveLength(1);
  for (const one of parsed.cases) {
    const answers = runCase(policy.policy, one);
    expect(one.events.flatMap((event, at) => unmet(event, answers[at] as CaseAnswer))).toEqual([]);
  }
});

const gold = { id: 'web-1', uid: '', labels: { tier: 'gold', zone: 'a', owner: 'me' } };
const resets = (count: number) => remember({}, 'RESET', moment(9_990_000), count);
const JANUARY = { ...moment(10_000_000), wallMs: Date.parse('2026-01-31T12:00:00Z') };

// What each example answers, as its text says.
it.each<[string, string, Parameters<typeof question>[0] & object, string]>([
  ['production', 'a crash', { vm: gold }, 'enforce: dump restart'],
  [
    'production',
    'of an owner without a name',
    { vm: { ...gold, labels: { ...gold.labels, owner: 'nobody' } } },
    'enforce: ',
  ],
  [
    'production',
    'of a VM in maintenance',
    { vm: { ...gold, id: 'build-1' }, event: { type: 'SHUTDOWN' }, now: JANUARY },
    'observe: powerOff',
  ],
  ['production', 'a kdump that begins', { event: { type: 'CRASH_LOADED' } }, 'enforce: await'],
  ['look-first', 'a crash', {}, 'observe: dump restart'],
  ['keep-evidence', 'a crash', {}, 'enforce: pause dump hold'],
  ['always-on', 'a power-off', { event: { type: 'SHUTDOWN' } }, 'enforce: restart'],
  ['reset-loop', 'the fifth reset', { event: { type: 'RESET' }, history: resets(5) }, 'enforce: '],
  [
    'reset-loop',
    'the sixth',
    { event: { type: 'RESET' }, history: resets(6) },
    'enforce: dump powerOff hold',
  ],
  ['tiers', 'a crash of gold', { vm: gold }, 'enforce: dump restart'],
  ['tiers', 'of scratch', { vm: { ...gold, labels: { tier: 'scratch' } } }, 'enforce: restart'],
  [
    'tiers',
    'in zone b',
    { vm: { ...gold, labels: { zone: 'b' } }, now: JANUARY },
    'observe: dump restart',
  ],
  ['kdump', 'a kdump that begins', { event: { type: 'CRASH_LOADED' } }, 'enforce: await'],
  ['kdump', 'a hang', { event: { type: 'WATCHDOG' } }, 'enforce: nmi await'],
])('example %s: %s', (name, _what, asked, expected) => {
  const parsed = parsePolicy(examples[names.indexOf(name)] ?? '', name, compileCondition);
  const decision = parsed.ok ? decide(parsed.policy, question(asked)) : null;
  const verbs = decision?.plan.map(({ verb }) => verb).join(' ');
  expect(`${decision?.mode}: ${verbs}`).toBe(expected);
  expect(decision?.conditionError).toBeNull();
});

it('names every event type, step and warning', () => {
  for (const word of [...EVENT_TYPES, ...STEP_WORDS, ...Object.values(WARNINGS)]) {
    expect(page).toContain(`\`${word}\``);
  }
  expect(ANOMALIES.some((anomaly) => page.includes(anomaly))).toBe(true);
});

it('gives each problem and warning an id of its own', () => {
  const ids = [...Object.values(PROBLEMS), ...Object.values(WARNINGS)];
  expect(new Set(ids).size).toBe(ids.length);
});

it('lists the id of each problem and warning once, and no other', () => {
  const listed = [...page.matchAll(/^\| `(VW-[PW]\d+)` \| .+ \|$/gm)].map((match) => match[1]);
  expect(listed).toEqual([...Object.values(PROBLEMS), ...Object.values(WARNINGS)]);
});
