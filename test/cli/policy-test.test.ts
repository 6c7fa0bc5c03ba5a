import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { policyTest } from '../../src/cli/policy/test.js';
import { fakeIo } from '../support/fake-io.js';

const POLICY = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: tested }
spec:
  mode: enforce
  safety: { storm: { vms: 2, within: 10s, quiet: 1m } }
  budgets:
    crash: { limits: [{ attempts: 2, within: 1h }], delay: { base: 10s, jitter: 0.5 } }
  rules:
    - { name: kdump, on: [CRASH_LOADED], do: [{ await: { event: RESET, timeout: 5m, otherwise: [restart] } }], budget: crash }
    - { name: gold, on: [CRASH], vms: { matchLabels: { tier: gold } }, do: [dump, restart], budget: crash, exhausted: [hold] }
    - { name: crashed, on: [CRASH], when: 'vm.count(CRASH, duration("1h")) < 3', do: [restart] }
`;

const CASES = `apiVersion: vmwarden.dev/v1
kind: PolicyTest
cases:
  - name: a gold guest is restarted twice, then held until released
    vm: { id: web-1, labels: { tier: gold } }
    events:
      - type: CRASH
        expect:
          rule: gold
          plan: [dump, restart]
          act: true
          budget: { name: crash, before: 0, after: 1, exhausted: false }
          nextAttempt: 0s
          phase: well
      - at: 1m
        type: CRASH
        expect: { nextAttempt: { from: 5s, to: 15s }, phase: waiting }
      - { at: 61s, type: CRASH, expect: { decided: false } }
      - { at: 10m, type: CRASH, expect: { rule: gold, plan: [hold], budget: { exhausted: true }, held: true } }
      - { at: 11m, type: CRASH, expect: { act: false, plan: [], held: true } }
      - { at: 12m, release: true, expect: { held: false, phase: well } }
  - name: others by their history
    outcomes: { restart: failed }
    events:
      - { type: CRASH, expect: { rule: crashed } }
      - { at: 1m, type: CRASH, expect: { rule: crashed } }
      - { at: 2m, type: CRASH, expect: { rule: null, plan: [] } }
      - { at: 3m, type: CRASH, age: 10m, initiator: host, expect: { rule: null } }
  - name: a storm holds restarts
    host: { vms: 3 }
    events:
      - { vm: a, type: CRASH, expect: { phase: well } }
      - { at: 5s, vm: b, type: CRASH, expect: { plan: [restart], phase: waiting } }
      - { at: 5m, vm: b, type: SUSPEND, expect: { phase: well } }
  - name: a guest that dumps itself and boots is left alone
    events:
      - { type: CRASH_LOADED, expect: { rule: kdump, plan: [await], phase: acting } }
      - { at: 2m, type: RESET, expect: { decided: false, phase: well } }
`;

let dir: string;
let policy: string;
let cases: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vmw-cases-'));
  policy = join(dir, 'policy.yaml');
  cases = join(dir, 'cases.yaml');
  await writeFile(policy, POLICY);
  await writeFile(cases, CASES);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const run = async (text: string, json = false) => {
  const io = fakeIo();
  const file = join(dir, 'these.yaml');
  await writeFile(file, text);
  const code = await policyTest(io, policy, file, { json });
  return { code, out: io.out(), err: io.err(), json: () => io.json(), file };
};

it('runs cases through budgets, delays, holds, conditions, storms and awaits', async () => {
  const { code, out } = await run(CASES);
  expect(out).toBe(
    [
      'ok    a gold guest is restarted twice, then held until released',
      'ok    others by their history',
      'ok    a storm holds restarts',
      'ok    a guest that dumps itself and boots is left alone',
      '4 passed, 0 failed',
      '',
    ].join('\n'),
  );
  expect(code).toBe(0);
});

it('tells what was expected, what came, where, and why', async () => {
  const { code, out, file } = await run(
    CASES.replace('plan: [dump, restart]', 'plan: [restart]').replace('held: false', 'held: true'),
  );
  expect(code).toBe(1);
  expect(out).toContain(`FAIL  a gold guest is restarted twice, then held until released
      ${file}:9:11: CRASH by guest at 0s
        plan
          expected  [restart]
          got       [dump, restart]
        Rule "gold" (line 11) matched CRASH by the guest.
`);
  expect(out).toMatch(
    /:21:43: release at 12m\n {8}held\n {10}expected {2}true\n {10}got {7}false\n/,
  );
  expect(out).toContain('3 passed, 1 failed\n');
});

it('prints one JSON object a line', async () => {
  const { code, json } = await run(CASES.replace('rule: gold', 'rule: silver'), true);
  expect(code).toBe(1);
  expect(json()[0]).toMatchObject({
    kind: 'case',
    ok: false,
    line: 4,
    failures: [{ line: 9, unmet: [{ field: 'rule', expected: 'silver', got: 'gold' }] }],
  });
  expect(json().at(-1)).toEqual({ kind: 'result', ok: false, passed: 3, failed: 1 });
});

it('tells everything that is wrong with the file of cases', async () => {
  const { code, err, file } = await run(
    CASES.replace('type: RESET', 'type: REBOOT')
      .replace('at: 1m', 'at: 1 minute')
      .replace('kind: PolicyTest', 'kind: Tests'),
  );
  expect(code).toBe(1);
  expect(err).toContain(`${file}:2:7: VW-P013 kind: "Tests" is not known; expected PolicyTest`);
  expect(err).toMatch(/:15:13: VW-P015 cases\[0\]\.events\[1\]\.at: .*1 minute/);
  expect(err).toMatch(/VW-P013 cases\[3\]\.events\[1\]\.type: "REBOOT" is not known/);
});

it('exits 2 when there are no cases to read', async () => {
  const io = fakeIo();
  expect(await policyTest(io, policy, join(dir, 'none.yaml'), {})).toBe(2);
  expect(io.err()).toMatch(/none[.]yaml: there is no such file/);
  const json = fakeIo();
  expect(await policyTest(json, policy, join(dir, 'none.yaml'), { json: true })).toBe(2);
  expect(json.json()).toMatchObject([{ kind: 'problem', file: join(dir, 'none.yaml') }]);
});
