import type { EventType } from '../../event/event-type.js';
import type { Initiator } from '../../event/report.js';
import type { VmmEventFacts } from '../../event/vmm-event.js';
import type { GuestState } from '../driver.js';
import { isObject, type JsonObject, text, word } from './json.js';
import type { QmpEvent } from './messages.js';
import type { Told, View } from './view.js';

export interface Step {
  readonly view: View;
  readonly told: Told | null;
  /** The event leaves open what state the guest is in: ask. */
  readonly ask: boolean;
}

/** One QMP event, as it changes what is known and as it is told. Pure. */
export const interpret = (view: View, event: QmpEvent): Step => {
  const { data } = event;
  const step = (changes: Partial<View>, ask = false): Step => ({
    view: { ...view, ...changes },
    told: null,
    ask,
  });
  const tell = (
    changes: Partial<View>,
    type: EventType,
    initiator: Initiator,
    facts: VmmEventFacts,
    state: GuestState | null,
  ): Step => ({
    view: { ...view, ...changes },
    told: { type, initiator, facts, state, occurredAtMs: event.atMs },
    ask: false,
  });

  switch (event.name) {
    case 'GUEST_PANICKED': {
      const facts: VmmEventFacts = { reason: 'guest-panic', ...panicFacts(data) };
      if (text(data, 'action') === 'run') return tell({}, 'CRASH', 'guest', facts, null);
      const state = whileMigrating(view, 'panicked');
      const ending = facts.action !== 'pause';
      return tell({ state, raw: 'guest-panicked', ending }, 'CRASH', 'guest', facts, state);
    }
    case 'GUEST_CRASHLOADED':
      return tell(
        {},
        'CRASH_LOADED',
        'guest',
        { reason: 'guest-crashloaded', ...panicFacts(data) },
        null,
      );
    case 'SHUTDOWN':
      return shutdown(view, event, step, tell);
    case 'RESET':
      return reset(view, event, tell);
    case 'WATCHDOG': {
      const held = view.watchdogToldAtMs;
      if (held !== null && event.atMs !== null && event.atMs <= held) {
        return step({ watchdogToldAtMs: null });
      }
      const action = text(data, 'action');
      const facts: VmmEventFacts = { reason: 'watchdog', action };
      if (action === 'poweroff') return tell({ ending: true }, 'WATCHDOG', 'guest', facts, null);
      if (action !== 'pause') return tell({}, 'WATCHDOG', 'guest', facts, null);
      const state = whileMigrating(view, 'watchdog');
      return tell({ state, raw: 'watchdog' }, 'WATCHDOG', 'guest', facts, state);
    }
    case 'SUSPEND':
      return tell(
        { state: 'suspended', raw: 'suspended' },
        'SUSPEND',
        'guest',
        { reason: 'suspend' },
        'suspended',
      );
    case 'SUSPEND_DISK':
      return tell({}, 'SUSPEND', 'guest', { reason: 'suspend-disk' }, null);
    case 'WAKEUP':
      // What woke it (a timer, a device, an operator) QMP does not say.
      return tell(
        { state: 'running', raw: 'running' },
        'WAKEUP',
        'unknown',
        { reason: 'wakeup' },
        'running',
      );
    case 'STOP': {
      const stopped = { ending: false, stoppedAtMs: event.atMs };
      // A migration that stops its guest is about to end: don't wait for the next look.
      if (view.state === 'migrating') return step(stopped, true);
      if (view.state !== 'running') return step(stopped);
      if (view.dumping) return step({ ...stopped, state: 'paused', raw: 'save-vm' });
      return step({ ...stopped, state: 'paused', raw: 'paused' }, true);
    }
    case 'RESUME':
      return step({
        state: whileMigrating(view, 'running'),
        raw: 'running',
        hasRun: true,
        dumping: false,
        ending: false,
        shutdown: null,
      });
    case 'DUMP_COMPLETED':
      // A guest that it stopped is still to be continued.
      return step({ dumping: view.raw === 'save-vm' });
    case 'MIGRATION':
      return step({}, true);
    default:
      return step({});
  }
};

/** A migrating guest stays one whatever happens to it, until QEMU was asked again. */
const whileMigrating = (view: View, state: GuestState): GuestState =>
  view.state === 'migrating' ? 'migrating' : state;

type Tell = (
  changes: Partial<View>,
  type: EventType,
  initiator: Initiator,
  facts: VmmEventFacts,
  state: GuestState | null,
) => Step;

/** SHUTDOWN: QEMU is about to end, or stays with the guest stopped (`-no-shutdown`). */
const shutdown = (
  view: View,
  event: QmpEvent,
  step: (changes: Partial<View>) => Step,
  tell: Tell,
): Step => {
  const reason = text(event.data, 'reason') || 'none';
  const own =
    (reason === 'host-qmp-quit' && view.ownQuit) || (isReset(reason) && view.ownResets > 0);
  const seen = { shutdown: { reason, own }, ending: true };
  // Follows GUEST_PANICKED, which was told: the same death.
  if (reason === 'guest-panic') return step(seen);
  const state = whileMigrating(view, 'shutdown');
  const changes: Partial<View> = {
    ...seen,
    state,
    raw: 'shutdown',
    ownResets: isReset(reason) ? Math.max(0, view.ownResets - 1) : view.ownResets,
  };
  // With `-no-reboot` a reset arrives as SHUTDOWN: what was asked for is a reset.
  const type = reason === 'guest-reset' || isReset(reason) ? 'RESET' : 'SHUTDOWN';
  return tell(changes, type, own ? 'vmwarden' : initiatorOf(reason, event.data), { reason }, state);
};

const isReset = (reason: string): boolean => reason === 'host-qmp-system-reset';

const reset = (view: View, event: QmpEvent, tell: Tell): Step => {
  const reason = text(event.data, 'reason') || 'none';
  const own = isReset(reason) && view.ownResets > 0;
  const stays = view.state === 'running' || view.state === 'migrating';
  const changes: Partial<View> = {
    boots: view.boots + 1,
    ending: false,
    hasRun: view.hasRun || view.state !== 'migrating',
    ownResets: own ? view.ownResets - 1 : view.ownResets,
    ...(stays ? {} : { state: 'prelaunch' as const, raw: 'prelaunch' }),
  };
  return tell(
    changes,
    'RESET',
    own ? 'vmwarden' : initiatorOf(reason, event.data),
    { reason },
    stays ? view.state : 'prelaunch',
  );
};

/** Who is behind a ShutdownCause. QEMU says it in `guest`; its word is preferred to our table of reasons. */
const initiatorOf = (reason: string, data: JsonObject): Initiator => {
  if (data['guest'] === true) return 'guest';
  if (reason.startsWith('host-') || reason === 'snapshot-load') return 'host';
  return data['guest'] === false && reason !== 'none' ? 'host' : 'unknown';
};

/** Why a process that ended did so, by the last SHUTDOWN it told. */
export const exitOf = (view: View): { readonly initiator: Initiator; readonly reason: string } => {
  if (view.shutdown !== null) {
    const { reason, own } = view.shutdown;
    if (own) return { initiator: 'vmwarden', reason };
    if (reason.startsWith('guest-')) return { initiator: 'guest', reason };
    if (reason.startsWith('host-')) return { initiator: 'host', reason };
    return { initiator: 'unknown', reason };
  }
  if (view.raw === 'postmigrate') return { initiator: 'host', reason: 'postmigrate' };
  return { initiator: 'unknown', reason: 'eof' };
};

/** A stopped state that QEMU showed when asked, as the event that led to it; null: it needs no answer. */
export const stateAsTold = (raw: string, state: GuestState): Told | null => {
  const told = (type: EventType, initiator: Initiator, reason: string): Told => ({
    type,
    initiator,
    facts: { reason, action: 'pause' },
    state,
    occurredAtMs: null,
  });
  switch (state) {
    case 'panicked':
      return told('CRASH', 'guest', 'guest-panic');
    case 'watchdog':
      return told('WATCHDOG', 'guest', 'watchdog');
    case 'error':
      return told('VMM_ERROR', 'unknown', raw);
    case 'shutdown':
      // Whether the guest or the host asked is no longer to be seen.
      return told('SHUTDOWN', 'unknown', 'shutdown');
    case 'running':
    case 'paused':
    case 'suspended':
    case 'prelaunch':
    case 'migrating':
    case 'exited':
    case 'unknown':
      return null;
  }
};

const ADDRESS_WIDTH = 16;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** GuestPanicInformation: what the guest left. All of it is the guest's word. */
const panicFacts = (data: JsonObject): Omit<VmmEventFacts, 'reason'> => {
  const action = text(data, 'action');
  const { info } = data;
  if (!isObject(info)) return { action };
  switch (info['type']) {
    case 'hyper-v':
      return {
        action,
        arguments: words(info, ['arg1', 'arg2', 'arg3', 'arg4', 'arg5']),
        text: 'hyper-v',
      };
    case 's390': {
      const psw = ['psw-mask', 'psw-addr'].map((key) =>
        (word(info, key) ?? 0n).toString(16).padStart(ADDRESS_WIDTH, '0'),
      );
      return {
        action,
        text: `s390 core ${word(info, 'core') ?? 0n}, PSW ${psw.join(' ')}, ${text(info, 'reason')}`,
      };
    }
    case 'tdx': {
      const gpa = word(info, 'gpa');
      return {
        action,
        arguments: [word(info, 'error-code') ?? 0n, ...(gpa === null ? [] : [gpa])],
        text: `tdx${gpa === null ? '' : ` (text at ${hex(gpa)})`}: ${text(info, 'message')}`,
      };
    }
    default:
      return { action };
  }
};

const words = (info: JsonObject, keys: readonly string[]): readonly bigint[] =>
  keys.map((key) => word(info, key) ?? 0n);
