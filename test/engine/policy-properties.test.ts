import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Arrival } from '../../src/engine/admit.js';
import { advance, ranMaybe } from '../../src/engine/advance.js';
import { begin, type Change, type Stamp } from '../../src/engine/answer.js';
import { resume } from '../../src/engine/resume.js';
import { takeIn } from '../../src/engine/take-in.js';
import { decodeVmRow, encodeVmRow, newVmRow, type VmRow } from '../../src/engine/vm-row.js';
import { ANOMALIES } from '../../src/event/anomaly.js';
import { EVENT_TYPES } from '../../src/event/event-type.js';
import { INITIATORS, ORIGINS } from '../../src/event/report.js';
import { StepState } from '../../src/gen/vmwarden/v1/record.js';
import { ageMs } from '../../src/lib/clock.js';
import type { Policy } from '../../src/policy/policy.js';
import type { Outcome } from '../../src/vmm/driver.js';
import { policyOf, TestHost } from '../policy/policies.js';

const LIFE = 'life';

const stampOf = (policy: Policy, host: TestHost): Stamp => ({
  now: host.now(),
  journalId: 'journal',
  policy,
  mode: policy.mode,
  labels: {},
  host: {
    name: 'h',
    vms: 1,
    dying: 0,
    storm: { kind: 'calm' },
    full: { restarts: false, dumps: false },
  },
  hostHeld: false,
  reachable: true,
});

const arrival = (
  over: Partial<Arrival['report']>,
  event: object,
  fromDriver: boolean,
): Arrival => ({
  report: {
    vm: 'web-1',
    uid: '',
    event: {
      type: 'CRASH',
      rawType: null,
      data: [],
      detail: { kind: 'none' },
      anomalies: [],
      capability: 'notStated',
      arch: '',
      ...event,
    },
    origin: 'qmp',
    initiator: 'guest',
    bootId: 'process',
    key: null,
    occurredAtMs: null,
    reconciled: false,
    ...over,
  },
  driver: fromDriver
    ? {
        boots: 1,
        life: LIFE,
        bootId: 'process',
        state: 'panicked',
        earlier: false,
        mayRepeat: false,
      }
    : null,
});

const happenings = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant({ kind: 'crash' as const }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(4_000) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'kill' as const }) },
    // A wall clock that was set forward across a reboot is what the docs say counts for less.
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('back' as const), ms: fc.nat(60_000) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'reboot' as const }) },
  ),
  { minLength: 30, maxLength: 90 },
);
const limits = fc.array(
  fc.record({ attempts: fc.integer({ min: 1, max: 4 }), seconds: fc.integer({ min: 1, max: 20 }) }),
  { minLength: 1, maxLength: 3 },
);
const outcomes = fc.infiniteStream(
  fc.constantFrom<Outcome>(
    { kind: 'applied', proof: [], state: 'running' },
    { kind: 'failed', reason: 'NOT_RUNNING', message: '', proof: [] },
    { kind: 'unsupported', reason: 'MIGRATING', message: '', proof: [] },
    { kind: 'unverified', reason: 'X', message: '', proof: [] },
  ),
);

it('never restarts more often than a budget allows, whatever ends vmwarden and moves the clocks', () => {
  let total = 0;
  fc.assert(
    fc.property(happenings, limits, outcomes, fc.boolean(), (list, all, ends, awaits) => {
      const written = all
        .map(({ attempts, seconds }) => `{ attempts: ${attempts}, within: ${seconds}s }`)
        .join(', ');
      const steps = awaits
        ? '[{ await: { event: RESET, timeout: 1s, otherwise: [dump, restart] } }]'
        : '[dump, restart]';
      const policy = policyOf(`
mode: enforce
budgets: { b: { limits: [${written}], delay: { base: 1s, max: 2s }, stableAfter: 5s } }
rules: [{ name: r, on: [CRASH], do: ${steps}, budget: b, exhausted: [dump] }]
`);
      const host = new TestHost();
      const restarts: number[] = [];
      let row: VmRow = newVmRow('web-1', '');
      let sequence = 1;
      const take = (change: Change): void => {
        row = change.row;
        sequence += change.records.length;
        for (const { body } of change.records) {
          if (body?.$case !== 'step' || body.value.state !== StepState.STARTED) continue;
          if (body.value.verb === 'restart') restarts.push(host.trueMs);
        }
      };
      /** What is due happens; a step that began ends at once. */
      const run = (): void => {
        for (let turn = 0; turn < 20 && row.incident !== null; turn += 1) {
          const { incident } = row;
          const stamp = stampOf(policy, host);
          const step = incident.plan[incident.index];
          if (incident.step.kind === 'planned') {
            if (ageMs(incident.step.since, stamp.now) < incident.step.waitMs) return;
            take(begin(row, stamp));
          } else if (step?.verb === 'await') {
            if (ageMs(incident.step.at, stamp.now) < step.timeoutMs) return;
            const outcome: Outcome = { kind: 'failed', reason: 'NOT_SEEN', message: '', proof: [] };
            take(advance(row, { outcome, elapsedNs: 0n, path: '' }, stamp));
          } else {
            const outcome = ends.next().value;
            // Nothing reached the VMM: no restart, and its attempt is given back.
            if (step?.verb === 'restart' && outcome.kind === 'unsupported') restarts.pop();
            take(advance(row, { outcome, elapsedNs: 0n, path: '' }, stamp));
          }
        }
      };
      const kill = (): void => {
        row = decodeVmRow(encodeVmRow(row)) ?? row;
        const inspection = {
          state: 'panicked',
          raw: 'panicked',
          bootId: 'process',
          boots: 1,
        } as const;
        const found = resume(row, inspection, stampOf(policy, host));
        if (found.kind === 'done') {
          const done = { outcome: found.outcome, elapsedNs: 0n, path: '' };
          take(advance(ranMaybe(row), done, stampOf(policy, host)));
        } else if (found.kind !== 'nothing') take(found.change);
      };
      for (const one of list) {
        switch (one.kind) {
          case 'crash': {
            const taken = takeIn(row, arrival({}, {}, true), null, sequence, stampOf(policy, host));
            take(taken);
            // Half of the time it is killed with the intent just journaled.
            if (sequence % 2 === 0) kill();
            break;
          }
          case 'pass':
            host.pass(one.ms);
            break;
          case 'kill':
            kill();
            break;
          case 'back':
            host.stepWallClock(-one.ms);
            break;
          case 'reboot':
            host.reboot();
            kill();
        }
        run();
      }
      total += restarts.length;
      for (const { attempts, seconds } of all) {
        for (const at of restarts) {
          const inside = restarts.filter((then) => then > at - seconds * 1_000 && then <= at);
          expect(inside.length).toBeLessThanOrEqual(attempts);
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(total).toBeGreaterThan(300);
});

const subset = <T>(list: readonly T[]) =>
  fc.uniqueArray(fc.constantFrom(...list), { minLength: 1, maxLength: 4 });
const rules = fc.array(
  fc.record({
    on: subset(EVENT_TYPES),
    initiator: fc.option(subset(INITIATORS), { nil: null }),
    anomaly: fc.option(subset(ANOMALIES), { nil: null }),
  }),
  { maxLength: 5 },
);
const reports = fc.array(
  fc.record({
    type: fc.constantFrom(...EVENT_TYPES),
    anomalies: fc.uniqueArray(fc.constantFrom(...ANOMALIES), { maxLength: 3 }),
    origin: fc.constantFrom(...ORIGINS),
    initiator: fc.constantFrom(...INITIATORS),
    bootId: fc.constantFrom('a', 'b', 'c', null),
    ageMs: fc.constantFrom(0, 30_000, 59_000, 61_000, 3_600_000),
  }),
  { minLength: 1, maxLength: 25 },
);

it('never acts on a stale, an older or an untrusted event without a rule that names it', () => {
  fc.assert(
    fc.property(rules, reports, fc.boolean(), (list, told, otherwise) => {
      const named = policyOf(`
mode: enforce
safety: { maxEventAge: 1m }
otherwise: [${otherwise ? 'pause' : 'notify'}]
`);
      const policy: Policy = {
        ...named,
        rules: list.map(({ on, initiator, anomaly }, index) => ({
          name: `r${index}`,
          line: index + 1,
          on,
          initiator: initiator ?? ['guest', 'unknown'],
          origin: null,
          anomaly,
          vms: null,
          when: null,
          do: [{ verb: 'dump', timeoutMs: 1, retries: 0, onFailure: 'continue' }],
          budget: null,
          exhausted: [],
        })),
      };
      const host = new TestHost();
      let row = newVmRow('web-1', '');
      let sequence = 1;
      for (const { type, anomalies, ageMs: age, ...report } of told) {
        const occurredAtMs = host.now().wallMs - age;
        const stamp = stampOf(policy, host);
        const one = arrival({ ...report, occurredAtMs }, { type, anomalies }, false);
        const taken = takeIn(row, one, null, sequence, stamp);
        const opened = taken.row.incident;
        if (opened !== null && opened.facts.sequence === sequence) {
          const rule = policy.rules.find(({ name }) => name === opened.rule);
          expect(taken.admission.disposition).toBe('decided');
          expect(age).toBeLessThanOrEqual(60_000);
          if (anomalies.includes('DATA_UNTRUSTED')) {
            expect(rule?.anomaly).toContain('DATA_UNTRUSTED');
          }
          if (type === 'UNKNOWN') expect(rule?.on).toContain('UNKNOWN');
          if (rule === undefined) expect(['guest', 'unknown']).toContain(report.initiator);
        }
        sequence += taken.records.length;
        row = taken.row;
        // Whatever was opened is over before the next.
        while (row.incident !== null) {
          const outcome: Outcome = { kind: 'applied', proof: [], state: 'running' };
          const change = advance(row, { outcome, elapsedNs: 0n, path: '' }, stamp);
          sequence += change.records.length;
          row = change.row;
        }
        host.pass(7_000);
      }
    }),
    { numRuns: 300 },
  );
});
