import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vmmEvent } from '../../../src/event/vmm-event.js';
import type { GuestState } from '../../../src/vmm/driver.js';
import { exitOf, interpret, stateAsTold } from '../../../src/vmm/qemu/events.js';
import { isObject, parseJson } from '../../../src/vmm/qemu/json.js';
import { guestState } from '../../../src/vmm/qemu/run-state.js';
import { news, settle } from '../../../src/vmm/qemu/settle.js';
import { freshView, NO_MIGRATION, type View } from '../../../src/vmm/qemu/view.js';

const NO_DUMP = { status: 'none', doneBytes: 0, totalBytes: 0 };

const RUNNING: View = { ...freshView(1), state: 'running', raw: 'running', hasRun: true };

const event = (name: string, json = '{}', atMs: number | null = 1_000) => {
  const data = parseJson(json);
  if (!isObject(data)) throw new Error('not an object');
  return { name, data, atMs };
};

const detail = (view: View, name: string, json: string) => {
  const { told } = interpret(view, event(name, json));
  if (told === null) throw new Error('nothing told');
  return vmmEvent(told.type, told.facts).detail;
};

describe('what a panicked guest left', () => {
  it('keeps the words of a Windows stop, all 64 bits of them', () => {
    const json = `{"action": "pause", "info": {"type": "hyper-v", "arg5": 18446735277616529408,
      "arg1": 209, "arg2": 0, "arg3": 18446744073709551615, "arg4": 9007199254740993}}`;
    expect(detail(RUNNING, 'GUEST_PANICKED', json)).toMatchObject({
      reason: 'guest-panic',
      action: 'pause',
      arguments: [209n, 0n, 18446744073709551615n, 9007199254740993n, 18446735277616529408n],
    });
  });

  it('makes the text of a TDX guest safe, and keeps where more is said to be', () => {
    const info = {
      type: 'tdx',
      'error-code': 0,
      message: 'a\u001b[31mb\u0007',
      gpa: 4096,
    };
    expect(
      detail(RUNNING, 'GUEST_PANICKED', JSON.stringify({ action: 'pause', info })),
    ).toMatchObject({
      text: 'tdx (text at 0x1000): a\\x1b[31mb\\x07',
      arguments: [0n, 4096n],
    });
  });

  it('names the core and the PSW of an s390 guest', () => {
    const info = { type: 's390', core: 2, 'psw-mask': 1, 'psw-addr': 255, reason: 'disabled-wait' };
    expect(
      detail(RUNNING, 'GUEST_PANICKED', JSON.stringify({ action: 'pause', info })),
    ).toMatchObject({
      text: 's390 core 2, PSW 0000000000000001 00000000000000ff, disabled-wait',
    });
  });
});

describe('who is behind it', () => {
  const cases: readonly [string, string, Partial<View>, string | null][] = [
    ['SHUTDOWN', '{"guest": true, "reason": "guest-shutdown"}', {}, 'SHUTDOWN guest'],
    ['SHUTDOWN', '{"guest": true, "reason": "guest-reset"}', {}, 'RESET guest'],
    ['SHUTDOWN', '{"guest": true, "reason": "guest-panic"}', {}, null],
    ['SHUTDOWN', '{"guest": false, "reason": "host-qmp-quit"}', {}, 'SHUTDOWN host'],
    [
      'SHUTDOWN',
      '{"guest": false, "reason": "host-qmp-quit"}',
      { ownQuit: true },
      'SHUTDOWN vmwarden',
    ],
    ['SHUTDOWN', '{"guest": false, "reason": "host-signal"}', { ownQuit: true }, 'SHUTDOWN host'],
    ['SHUTDOWN', '{"guest": false, "reason": "host-ui"}', {}, 'SHUTDOWN host'],
    ['SHUTDOWN', '{"guest": false, "reason": "host-qmp-system-reset"}', {}, 'RESET host'],
    [
      'SHUTDOWN',
      '{"guest": false, "reason": "host-qmp-system-reset"}',
      { ownResets: 1 },
      'RESET vmwarden',
    ],
    ['SHUTDOWN', '{}', {}, 'SHUTDOWN unknown'],
    ['RESET', '{"guest": true, "reason": "guest-reset"}', { ownResets: 1 }, 'RESET guest'],
    ['RESET', '{"guest": false, "reason": "host-qmp-system-reset"}', {}, 'RESET host'],
    [
      'RESET',
      '{"guest": false, "reason": "host-qmp-system-reset"}',
      { ownResets: 1 },
      'RESET vmwarden',
    ],
    ['RESET', '{"guest": false, "reason": "snapshot-load"}', {}, 'RESET host'],
    ['RESET', '{"guest": false, "reason": "subsystem-reset"}', {}, 'RESET host'],
    ['WATCHDOG', '{"action": "debug"}', {}, 'WATCHDOG guest'],
    ['GUEST_CRASHLOADED', '{"action": "run"}', {}, 'CRASH_LOADED guest'],
    ['SUSPEND_DISK', '{}', {}, 'SUSPEND guest'],
    ['POWERDOWN', '{}', {}, null],
    ['GUEST_PVSHUTDOWN', '{}', {}, null],
    ['MEMORY_FAILURE', '{"recipient": "guest"}', {}, null],
    ['AN_EVENT_OF_TOMORROW', '{"reason": "guest-panic"}', {}, null],
  ];
  it.each(cases)('%s %s %o: %s', (name, json, changes, expected) => {
    const { told } = interpret({ ...RUNNING, ...changes }, event(name, json));
    expect(told === null ? null : `${told.type} ${told.initiator}`).toBe(expected);
  });

  it.each([
    ['guest-shutdown', false, 'guest'],
    ['guest-panic', false, 'guest'],
    ['guest-reset', false, 'guest'],
    ['host-signal', false, 'host'],
    ['host-qmp-quit', false, 'host'],
    ['host-qmp-quit', true, 'vmwarden'],
    ['none', false, 'unknown'],
  ] as const)('an exit after SHUTDOWN %s (own: %s) is by %s', (reason, own, initiator) => {
    expect(exitOf({ ...RUNNING, shutdown: { reason, own } }).initiator).toBe(initiator);
  });

  it('an exit long after a shutdown that was answered is not by that shutdown', () => {
    let view = RUNNING;
    for (const one of [
      event('SHUTDOWN', '{"guest": true, "reason": "guest-shutdown"}'),
      event('STOP'),
      event('RESET', '{"guest": false, "reason": "host-qmp-system-reset"}'),
      event('RESUME'),
    ]) {
      view = interpret(view, one).view;
    }
    expect(exitOf(view)).toEqual({ initiator: 'unknown', reason: 'eof' });
    expect(view).toMatchObject({ state: 'running', boots: 2, ending: false });
  });
});

describe("QEMU's RunState", () => {
  const here = { migration: NO_MIGRATION, takenBack: false, dumping: false };
  const states: Readonly<Record<string, GuestState>> = {
    running: 'running',
    paused: 'paused',
    'guest-panicked': 'panicked',
    shutdown: 'shutdown',
    suspended: 'suspended',
    watchdog: 'watchdog',
    'internal-error': 'error',
    'io-error': 'error',
    prelaunch: 'prelaunch',
    inmigrate: 'migrating',
    'finish-migrate': 'migrating',
    postmigrate: 'migrating',
    'save-vm': 'migrating',
    'restore-vm': 'migrating',
    colo: 'migrating',
    debug: 'unknown',
    'a-state-of-tomorrow': 'unknown',
  };
  it.each(Object.entries(states))('%s is %s', (raw, state) => {
    expect(guestState(raw, here)).toBe(state);
  });

  it.each([
    'setup',
    'active',
    'pre-switchover',
    'device',
    'postcopy-active',
    'postcopy-paused',
    'postcopy-recover',
    'wait-unplug',
    'cancelling',
    'a-status-of-tomorrow',
  ])('is migrating whatever it says while the migration is %s', (status) => {
    for (const raw of Object.keys(states)) {
      expect(guestState(raw, { ...here, migration: { status, source: true } })).toBe('migrating');
    }
  });

  it('of a guest that was given away stays migrating until it was taken back', () => {
    const migration = { status: 'completed', source: true };
    const gone = settle(RUNNING, { raw: 'postmigrate', migration, dump: NO_DUMP });
    const reset = settle(gone, { raw: 'prelaunch', migration, dump: NO_DUMP });
    expect([gone.state, reset.state]).toEqual(['migrating', 'migrating']);
    const back = settle(reset, { raw: 'running', migration, dump: NO_DUMP });
    const later = settle(back, { raw: 'guest-panicked', migration, dump: NO_DUMP });
    const again = settle(later, { raw: 'prelaunch', migration, dump: NO_DUMP });
    expect([back.state, later.state, again.state]).toEqual(['running', 'panicked', 'prelaunch']);
    expect(again.hasRun).toBe(true);
  });

  it("save-vm is a dump's, while there is one", () => {
    expect(guestState('save-vm', { ...here, dumping: true })).toBe('paused');
  });
});

describe('what no event told', () => {
  it('is told by the answer, once', () => {
    const paused = interpret(RUNNING, event('STOP'));
    expect(paused.ask).toBe(true);
    const failed = settle(paused.view, {
      raw: 'internal-error',
      migration: NO_MIGRATION,
      dump: NO_DUMP,
    });
    expect(news(paused.view, failed)).toMatchObject({
      type: 'VMM_ERROR',
      initiator: 'unknown',
      facts: { reason: 'internal-error' },
    });
    expect(news(failed, failed)).toBeNull();
    expect(stateAsTold('paused', 'paused')).toBeNull();
  });

  it('of a watchdog is not told again by an event from before the stop', () => {
    const view: View = { ...RUNNING, state: 'watchdog', raw: 'watchdog', watchdogToldAtMs: 1_000 };
    const late = interpret(view, event('WATCHDOG', '{"action": "pause"}', 999));
    expect(late.told).toBeNull();
    const next = interpret(late.view, event('WATCHDOG', '{"action": "pause"}', 1_500));
    expect(next.told).not.toBeNull();
  });
});

it('takes any event in any order: boots never fall, and only RESET raises them', () => {
  const names = [
    'STOP',
    'RESUME',
    'RESET',
    'SHUTDOWN',
    'GUEST_PANICKED',
    'WATCHDOG',
    'SUSPEND',
    'X',
  ];
  const reasons = ['guest-reset', 'guest-shutdown', 'host-qmp-quit', 'host-qmp-system-reset', ''];
  const one = fc.record({
    name: fc.constantFrom(...names),
    data: fc.dictionary(
      fc.constantFrom('action', 'reason', 'guest', 'info'),
      fc.oneof(
        fc.constantFrom(...reasons, 'pause', 'run'),
        fc.boolean(),
        fc.integer(),
        fc.constant(null),
      ),
    ),
    atMs: fc.option(fc.nat()),
  });
  fc.assert(
    fc.property(fc.array(one), (events) => {
      let view = RUNNING;
      for (const next of events) {
        const before = view;
        const step = interpret(before, { ...next, data: { ...next.data } });
        view = step.view;
        expect(view.boots - before.boots).toBe(next.name === 'RESET' ? 1 : 0);
        expect(view.ownResets).toBe(0);
      }
    }),
  );
});
