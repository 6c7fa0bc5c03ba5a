import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { policyDiff } from '../../src/cli/policy/diff.js';
import { policySimulate } from '../../src/cli/policy/simulate.js';
import { sinceOf } from '../../src/cli/policy/since.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { policyOf } from '../support/engine-bench.js';
import { type Happening, journalOf } from '../support/engine-traffic.js';
import { type FakeIo, fakeIo } from '../support/fake-io.js';
import { startTestServer } from '../support/grpc-server.js';

const RESTARTS = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: restarts }
spec:
  mode: enforce
  budgets:
    crash: { limits: [{ attempts: 2, within: 1h }], delay: { base: 0s } }
  rules:
    - name: crashed
      on: [CRASH]
      do: [dump, restart]
      budget: crash
      exhausted: [hold]
`;
const HOLDS = RESTARTS.replace(/ {2}budgets:[\s\S]*? {2}rules:/, '  rules:').replace(
  /do: [\s\S]*$/,
  'do: [hold]\n',
);

const CRASH: Happening = { kind: 'panic', vm: 0 };
const OTHER: Happening = { kind: 'panic', vm: 1 };
const SETTLE: Happening = { kind: 'quiet' };

let dir: string;
let restarts: string;
let holds: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vmw-sim-'));
  restarts = join(dir, 'restarts.yaml');
  holds = join(dir, 'holds.yaml');
  await writeFile(restarts, RESTARTS);
  await writeFile(holds, HOLDS);
  const all = [CRASH, SETTLE, CRASH, SETTLE, OTHER, SETTLE, CRASH, SETTLE];
  const journal = await openJournal();
  await journalOf(policyOf(RESTARTS), all, journal);
  await journal.close();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const openJournal = () =>
  openLmdbJournal({ dir: join(dir, 'data', 'journal'), reserveBytes: 0, pid: process.pid });

const offline = () => ({ socket: join(dir, 'nobody.sock'), dataDir: join(dir, 'data') });
const simulated = async (file: string, options = {}, io: FakeIo = fakeIo()) => ({
  code: await policySimulate(io, offline(), file, options),
  out: io.out(),
  err: io.err(),
});

describe('policy simulate', () => {
  it('tells what was done, by rule and by VM, and that nothing differs', async () => {
    const { code, out } = await simulated(restarts);
    expect(code).toBe(0);
    expect(out).toMatch(/RULE +LINE +DECISIONS +ACTED +EXHAUSTED +STEPS BEGUN/);
    expect(out).toMatch(/"crashed" +9 +4 +4 +1 +dump 3, restart 3, hold 1/);
    expect(out).toMatch(/vm-0 +3 +3 +1 +held +dump 2, restart 2, hold 1/);
    expect(out).toContain('4 decisions are the same, 0 differ');
    expect(out).toContain('assumed: Events are taken as the journal has them');
  });

  it('tells what another policy would have done, and what it had to assume', async () => {
    const { out } = await simulated(holds, { decisions: true });
    expect(out).toMatch(/vm-0 +CRASH by guest: "crashed": hold\n/);
    expect(out).toMatch(/vm-0 +CRASH by guest: "crashed": nothing, held\n/);
    expect(out).toMatch(/0 decisions are the same, 4 differ/);
    expect(out).toMatch(/events that came of steps which are not taken here are left out/);
  });

  it('prints one JSON object a line, the summary last', async () => {
    const io = fakeIo();
    expect(await policySimulate(io, offline(), restarts, { json: true, decisions: true })).toBe(0);
    const lines = io.json();
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatchObject({
      kind: 'decision',
      vmId: 'vm-0',
      rule: 'crashed',
      plan: ['dump', 'restart'],
      act: true,
      delayMs: 0,
      budget: { name: 'crash', before: 0, after: 1 },
    });
    expect(lines[4]).toMatchObject({ kind: 'summary', decisions: 4, same: 4, different: 0 });
    expect(io.err()).toBe('');
  });

  it('shows a bar on a terminal', async () => {
    const { err } = await simulated(restarts, {}, fakeIo({ terminal: true }));
    expect(err).toMatch(/simulating \[#{30}\] 100 %, \d+ of \d+/);
  });

  it('says the same over gRPC as from the journal itself', async () => {
    const journal = await openJournal();
    onTestFinished(() => journal.close());
    const server = await startTestServer({ journal });
    const io = fakeIo();
    const place = { socket: server.socket, dataDir: '/nowhere' };
    expect(await policySimulate(io, place, holds, { decisions: true })).toBe(0);
    const out = io.out();
    await server.running.stop(0);
    expect(out).toBe((await simulated(holds, { decisions: true })).out);
  });

  it('refuses a broken policy with its problems, and exits 1', async () => {
    const broken = join(dir, 'broken.yaml');
    await writeFile(broken, RESTARTS.replace('budget: crash', 'budget: crush'));
    const { code, err } = await simulated(broken);
    expect(code).toBe(1);
    expect(err).toMatch(/broken\.yaml:12:15: VW-P030/);
  });
});

describe('policy diff', () => {
  it('puts like differences together', async () => {
    const io = fakeIo();
    expect(await policyDiff(io, offline(), [restarts, holds], {})).toBe(0);
    expect(io.out()).toMatch(
      /2 on CRASH by guest, of 2 VMs\n {2}- "crashed": dump, restart\n {2}\+ "crashed": hold\n {4}vm-0 at .*Z, vm-1 at .*Z\n/,
    );
    expect(io.out()).toMatch(
      /1 on CRASH by guest, of 1 VM\n {2}- "crashed", budget crash used up: hold\n {2}\+ "crashed": nothing, held\n/,
    );
    expect(io.out()).toContain('0 decisions are the same, 4 differ');
    const same = fakeIo();
    expect(await policyDiff(same, offline(), [holds, holds], {})).toBe(0);
    expect(same.out()).toMatch(/^4 decisions are the same, 0 differ\n/);
  });

  it('prints one JSON object a line', async () => {
    const io = fakeIo();
    expect(await policyDiff(io, offline(), [restarts, holds], { json: true })).toBe(0);
    const lines = io.json();
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatchObject({
      kind: 'difference',
      changed: ['plan'],
      before: { plan: ['dump', 'restart'] },
      after: { plan: ['hold'] },
    });
  });
});

it('reads since when', () => {
  expect(Math.abs(Date.now() - 7 * 86_400_000 - sinceOf('7d'))).toBeLessThan(60_000);
  expect(sinceOf('2026-11-15T00:00:00Z')).toBe(Date.UTC(2026, 10, 15));
  for (const wrong of ['yesterday', '7', '0s', '-1d', '10000d', '']) {
    expect(() => sinceOf(wrong)).toThrow('Expected a duration such as 90m, 24h or 7d');
  }
});
