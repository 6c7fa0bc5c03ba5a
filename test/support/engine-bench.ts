import { readFileSync } from 'node:fs';
import { type RunningEngine, startEngine } from '../../src/engine/create-engine.js';
import type { EngineVm } from '../../src/engine/roster.js';
import type { EventReport } from '../../src/event/report.js';
import { vmmEvent } from '../../src/event/vmm-event.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';
import type { Journal } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import type { Clock, Moment } from '../../src/lib/clock.js';
import type { Logger } from '../../src/lib/logger.js';
import { compileCondition } from '../../src/policy/condition.js';
import { parsePolicy } from '../../src/policy/parse.js';
import type { Policy } from '../../src/policy/policy.js';
import { createObserveDriver } from '../../src/vmm/observe/driver.js';
import { ScriptedDriver } from './scripted-driver.js';

/** Milliseconds within which what a test waits for has happened. */
const DEADLINE_MS = 5_000;

const quiet: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => quiet,
};

export class ManualClock implements Clock {
  wallMs = 1_750_000_000_000;
  monoMs = 1_000_000;
  hostBootId = 'host-boot-1';

  now(): Moment {
    return { wallMs: this.wallMs, monoMs: this.monoMs, hostBootId: this.hostBootId };
  }

  advance(ms: number): void {
    this.wallMs += ms;
    this.monoMs += ms;
  }
}

export const policyOf = (yaml: string): Policy => {
  const parsed = parsePolicy(yaml, 'policy.yaml', compileCondition);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join('\n'));
  return parsed.policy;
};

export const CRASH_POLICY = readFileSync(
  new URL('../data/crash-policy.yaml', import.meta.url),
  'utf8',
);

export interface Bench {
  readonly engine: RunningEngine;
  readonly journal: Journal;
  readonly clock: ManualClock;
  readonly policy: Policy;
  readonly driver: ScriptedDriver;
  readonly points: string[];
  readonly health: Map<string, string>;
  records(): Promise<readonly { sequence: number; record: Record }[]>;
  /** `event CRASH decided`, `decision crashed act`, `step restart applied`, ... in order. */
  story(): Promise<readonly string[]>;
  until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
  ): Promise<T>;
}

export const engineBench = async (
  options: {
    policy?: Policy;
    journal?: Journal;
    clock?: ManualClock;
    driver?: ScriptedDriver;
    vms?: readonly EngineVm[];
    retired?: readonly string[];
    onPoint?: (point: string) => void;
    /** There, for real dumps. */
    dumpDir?: string;
  } = {},
): Promise<Bench> => {
  const clock = options.clock ?? new ManualClock();
  const journal = options.journal ?? new MemoryJournal({ now: () => clock.wallMs });
  const driver = options.driver ?? new ScriptedDriver('web-1');
  const points: string[] = [];
  const health = new Map<string, string>();
  const policy = options.policy ?? policyOf(CRASH_POLICY);
  const engine = await startEngine({
    journal,
    clock,
    policy,
    policySource: 'test',
    vms: options.vms ?? [{ id: 'web-1', uid: '', driver, takeOver: false }],
    retired: options.retired ?? [],
    observer: createObserveDriver(),
    dumpTarget: async (vm, incident, attempt) => ({
      path: `${options.dumpDir ?? `/dumps/${vm}`}/${incident}-${attempt}`,
    }),
    log: quiet,
    health: {
      up: (part) => void health.delete(part),
      degraded: (part, why) => void health.set(part, why),
    },
    onPoint: (point) => {
      points.push(point);
      options.onPoint?.(point);
    },
  });
  const records = async () => {
    const { records: stored } = await journal.read({
      after: journal.status().oldest - 1,
      limit: 10_000,
    });
    return stored.map(({ sequence, bytes }) => ({ sequence, record: Record.decode(bytes) }));
  };
  const story = async () => (await records()).flatMap(({ record }) => describeRecord(record));
  return {
    engine,
    journal,
    clock,
    policy,
    driver,
    points,
    health,
    records,
    story,
    until: async (what, look) => {
      const deadline = performance.now() + DEADLINE_MS;
      for (;;) {
        const found = await look();
        if (found !== undefined && found !== false) return found;
        if (performance.now() > deadline) {
          throw new Error(`not within ${DEADLINE_MS} ms: ${what}\n${(await story()).join('\n')}`);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
};

export const crashReport = (over: Partial<EventReport> = {}): EventReport => ({
  vm: 'web-1',
  uid: '',
  event: vmmEvent('CRASH', { reason: 'reported', action: '', arguments: [], text: '' }),
  origin: 'kernel',
  initiator: 'guest',
  bootId: 'boot-a',
  key: null,
  occurredAtMs: null,
  reconciled: false,
  ...over,
});

const STEP_STATES = [
  '?',
  'started',
  'applied',
  'already',
  'unsupported',
  'failed',
  'unverified',
  'cancelled',
  'progress',
  'waiting',
];
const DISPOSITIONS = ['?', 'decided', 'joined', 'burst', 'older'];
const TYPES: { [type: number]: string } = {
  1: 'SHUTDOWN',
  2: 'RESET',
  3: 'CRASH',
  101: 'CRASH_LOADED',
  102: 'WATCHDOG',
  103: 'VMM_ERROR',
  104: 'VMM_EXITED',
};

const describeRecord = ({ body }: Record): string[] => {
  switch (body?.$case) {
    case 'event':
      return [
        `event ${TYPES[body.value.event?.type ?? 0] ?? body.value.event?.type} ${DISPOSITIONS[body.value.disposition]}`,
      ];
    case 'decision':
      return [
        `decision ${body.value.rule || 'otherwise'}: ${body.value.plan.map(({ verb }) => verb).join(', ')}`,
      ];
    case 'step':
      return [
        `step ${body.value.verb} ${STEP_STATES[body.value.state]}${body.value.reason === '' ? '' : ` ${body.value.reason}`}`,
      ];
    case 'operator':
      return [`operator ${body.value.verb} by ${body.value.actor}`];
    default:
      return [];
  }
};
