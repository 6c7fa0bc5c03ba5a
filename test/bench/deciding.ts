import type { EventType } from '../../src/event/event-type.js';
import { compileCondition } from '../../src/policy/condition.js';
import { decide } from '../../src/policy/decide.js';
import { type History, remember } from '../../src/policy/history.js';
import { parsePolicy } from '../../src/policy/parse.js';
import type { Policy, Question } from '../../src/policy/policy.js';
import type { Bench, Figure } from './figure.js';

const RULES = 50;
const ROUNDS = 15;
const DECISIONS = 4_000;
/** Five types of 200 events each: as much as a VM's history keeps of them. */
const HISTORY: readonly EventType[] = ['CRASH', 'RESET', 'WATCHDOG', 'WAKEUP', 'SUSPEND'];

const policyOf = (typeOf: (index: number) => EventType): Policy => {
  const rules = Array.from({ length: RULES }, (_, index) => {
    const when = `vm.count(CRASH, duration("${index + 1}m")) > 1000 || vm.label("tier") == "t${index}"`;
    return `    - { name: r${index}, on: [${typeOf(index)}], when: '${when}', do: [dump] }`;
  });
  const text = [
    'apiVersion: vmwarden.dev/v1',
    'kind: EventPolicy',
    'metadata: { name: bench }',
    'spec:',
    '  mode: enforce',
    '  rules:',
    ...rules,
    '',
  ].join('\n');
  const parsed = parsePolicy(text, 'bench.yaml', compileCondition);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems[0]));
  return parsed.policy;
};

const NOW = { wallMs: 1_760_000_000_000, monoMs: 100_000_000, hostBootId: 'b' };

const history = (): History => {
  let made: History = {};
  for (const type of HISTORY) {
    for (let index = 200; index > 0; index -= 1) {
      const ago = index * 10_000;
      made = remember(
        made,
        type,
        { ...NOW, wallMs: NOW.wallMs - ago, monoMs: NOW.monoMs - ago },
        1,
      );
    }
  }
  return made;
};

const question = (past: History, sequence: number): Question => ({
  event: {
    type: 'CRASH',
    rawType: 3,
    data: [],
    detail: { kind: 'none' },
    anomalies: [],
    capability: 'present',
    arch: 'x86_64',
  },
  origin: 'qmp',
  initiator: 'guest',
  ageMs: 0,
  incident: `i-${sequence}`,
  held: false,
  hostHeld: false,
  attempts: {},
  now: NOW,
  vm: { id: 'web-1', uid: '', labels: { tier: 'gold' } },
  history: past,
  host: { name: 'host-1', vms: 100, dying: 1, storm: 'calm' },
});

/** Nanoseconds of a core for one decision, so that others on the machine don't count, round by round; the rounds of all policies take turns. */
const measure = (policies: readonly Policy[]): readonly (readonly number[])[] => {
  const past = history();
  const spent: number[][] = policies.map(() => []);
  for (let round = -3; round < ROUNDS; round += 1) {
    for (const [index, policy] of policies.entries()) {
      const start = process.cpuUsage();
      for (let count = 0; count < DECISIONS; count += 1) {
        const { rule } = decide(policy, question(past, count));
        if (rule !== null) throw new Error('no rule of the bench holds');
      }
      // The rounds below 0 warm the compiler up.
      const { user, system } = process.cpuUsage(start);
      if (round >= 0) spent[index]?.push(((user + system) * 1e3) / DECISIONS);
    }
  }
  return spent;
};

const medianOf = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;

/** Limits of issue "policy": 20,000 decisions a second when every condition runs, 100,000 when at most five do. */
export const deciding: Bench = {
  name: 'decide',
  run: async () => {
    const others: readonly EventType[] = ['RESET', 'WATCHDOG', 'SHUTDOWN', 'SUSPEND', 'WAKEUP'];
    const [every = [], five = [], none = []] = measure([
      policyOf(() => 'CRASH'),
      policyOf((index) => (index % 10 === 0 ? 'CRASH' : (others[index % 5] ?? 'RESET'))),
      policyOf((index) => others[index % 5] ?? 'RESET'),
    ]);
    const floor = medianOf(none);
    const figure = (name: string, spent: readonly number[], least: number): Figure => {
      const median = medianOf(spent);
      const perSecond = Math.round(1e9 / median);
      return {
        kind: 'measured',
        name,
        unit: 'ns',
        ours: { median, p99: null, n: ROUNDS },
        floor: { median: floor, p99: null, n: ROUNDS, what: 'the same with no rule for the type' },
        ratio: median / floor,
        limit: null,
        remarks: [
          `${perSecond.toLocaleString('en-US')} a second and core, ${perSecond >= least ? 'above' : 'BELOW'} ${least.toLocaleString('en-US')}`,
        ],
      };
    };
    return [
      figure('decision, 50 rules, each condition runs, 1,000 events', every, 20_000),
      figure('decision, 50 rules, 5 conditions run, 1,000 events', five, 100_000),
    ];
  },
};
