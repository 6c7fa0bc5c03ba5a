import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { encodeRecord, policyRecord } from '../../src/engine/records.js';
import { takeIn } from '../../src/engine/take-in.js';
import { newVmRow } from '../../src/engine/vm-row.js';
import { vmmEvent } from '../../src/event/vmm-event.js';
import type { Entry } from '../../src/journal/journal.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { compileCondition } from '../../src/policy/condition.js';
import { parsePolicy } from '../../src/policy/parse.js';
import type { Bench, BenchContext, Figure } from './figure.js';

const VMS = 100;
const EVENTS = 1_000_000;
/** What the project promises for so many. */
const ALLOWED_MS = 60_000;
const LOOK_EVERY_MS = 50;

const POLICY = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: bench }
spec:
  mode: enforce
  budgets:
    crash: { limits: [{ attempts: 3, within: 1h }, { attempts: 6, within: 24h }] }
  rules:
    - { name: loop, on: [RESET], when: 'vm.count(RESET, duration("10m")) > 5', do: [dump, powerOff, hold] }
    - { name: crashed, on: [CRASH, WATCHDOG], do: [dump, restart], budget: crash, exhausted: [powerOff] }
`;

/** `policy simulate` over journals of two sizes on this disk, each in a process of its own: how long, and how much memory. */
export const simulating: Bench = {
  name: 'simulate',
  run: async (context) => {
    const events = context.quick ? EVENTS / 10 : EVENTS;
    const small = await simulated(context, events / 10);
    const large = await simulated(context, events);
    const allowedMs = (ALLOWED_MS * events) / EVENTS;
    const name = `simulate ${events.toLocaleString('en')} journaled events`;
    const one = (median: number) => ({ median, p99: null, n: 1 });
    const figures: Figure[] = [
      {
        kind: 'measured',
        name,
        unit: 'ms',
        ours: one(large.ms),
        floor: { ...one(allowedMs), what: 'the time that is allowed' },
        ratio: large.ms / allowedMs,
        limit: 1,
        remarks: [
          `${Math.round((events * 1000) / large.ms)} events/s; ${(large.cpuMs / 1000).toFixed(1)} s of a processor`,
        ],
      },
      {
        kind: 'measured',
        name: `${name}: memory of its own at most`,
        unit: 'MB',
        ours: one(large.mb),
        floor: { ...one(small.mb), what: 'a tenth of the events' },
        ratio: large.mb / small.mb,
        limit: 1.3,
      },
    ];
    return figures;
  },
};

const simulated = async (
  context: BenchContext,
  events: number,
): Promise<{ readonly ms: number; readonly cpuMs: number; readonly mb: number }> => {
  const dir = path.join(context.dir, `simulate-${events}`);
  mkdirSync(dir);
  const policy = path.join(dir, 'policy.yaml');
  writeFileSync(policy, POLICY);
  await fill(path.join(dir, 'journal'), events);
  context.say(`  a journal of ${events} events is written`);
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [context.program, 'policy', 'simulate', policy, '--data-dir', dir, '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  let mb = 0;
  let cpuMs = 0;
  const looking = setInterval(() => {
    mb = Math.max(mb, anonymousMb(child.pid));
    cpuMs = Math.max(cpuMs, processorMs(child.pid));
  }, LOOK_EVERY_MS);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(looking);
  const ms = performance.now() - startedAt;
  const last = out.trim().split('\n').at(-1) ?? '{}';
  const told = Number((JSON.parse(last) as { events?: unknown }).events);
  if (code !== 0 || told !== events) {
    throw new Error(`policy simulate ended with ${code}, and told of ${told} of ${events} events`);
  }
  return { ms, cpuMs, mb };
};

/** Without the journal's pages, which are the system's to keep or to drop; 0 once it has ended. */
const anonymousMb = (pid: number | undefined): number => {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/RssAnon:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
};

/** User and system time, in ticks of 10 ms; 0 once it has ended. */
const processorMs = (pid: number | undefined): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [user = '0', system = '0'] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11);
    return (Number(user) + Number(system)) * 10;
  } catch {
    return 0;
  }
};

const BATCH = 500;
const STEP_MS = 700;

/** The events of a long while as live traffic journals them, with what the policy answered. */
const fill = async (dir: string, events: number): Promise<void> => {
  const parsed = parsePolicy(POLICY, 'policy.yaml', compileCondition);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems[0]));
  const { policy } = parsed;
  const journal = await openLmdbJournal({ dir, reserveBytes: 64 * 1024 * 1024, pid: process.pid });
  try {
    const rows = Array.from({ length: VMS }, (_, index) => newVmRow(`vm-${index}`, ''));
    const at = (count: number) => ({
      wallMs: 1_750_000_000_000 + count * STEP_MS,
      monoMs: 1_000_000 + count * STEP_MS,
      hostBootId: 'bench',
    });
    let batch: Entry[] = [
      { vm: '', bytes: encodeRecord(policyRecord(at(0), policy, 'bench', true)) },
    ];
    let sequence = 2;
    for (let count = 0; count < events; count += 1) {
      const before = rows[count % VMS];
      if (before === undefined) break;
      const now = at(count);
      const type = count % 7 === 0 ? 'CRASH' : 'RESET';
      const taken = takeIn(
        before,
        {
          report: {
            vm: before.id,
            uid: '',
            event: vmmEvent(type, { reason: 'bench', action: '', arguments: [], text: '' }),
            origin: 'qmp',
            initiator: 'guest',
            bootId: 'boot',
            key: null,
            occurredAtMs: null,
            reconciled: false,
          },
          driver: {
            boots: 0,
            life: '0',
            bootId: 'boot',
            state: 'running',
            earlier: false,
            mayRepeat: false,
          },
        },
        null,
        sequence,
        {
          now,
          journalId: journal.id,
          policy,
          hostHeld: false,
          mode: 'enforce',
          labels: {},
          host: {
            name: 'bench',
            vms: VMS,
            dying: 0,
            storm: { kind: 'calm' },
            full: { restarts: false, dumps: false },
          },
          reachable: true,
        },
      );
      sequence += taken.records.length;
      // What was begun has ended by the next time.
      rows[count % VMS] = { ...taken.row, incident: null, pending: [], hold: null };
      batch.push(...taken.records.map((one) => ({ vm: before.id, bytes: encodeRecord(one) })));
      if (batch.length < BATCH) continue;
      await journal.append({ kind: 'ingest', records: batch, rows: [] }).durable;
      batch = [];
    }
    await journal.append({ kind: 'ingest', records: batch, rows: [] }).durable;
  } finally {
    await journal.close();
  }
};
