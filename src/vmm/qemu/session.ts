import type { Fault } from '../../lib/fault.js';
import type { Inspection, Sighting, Watch } from '../driver.js';
import { startWarnings } from './command-line.js';
import {
  type Command,
  NEGOTIATE,
  parseCpuThread,
  parseDump,
  parseMigration,
  parseStatus,
  QUERY_CPUS,
  QUERY_DUMP,
  QUERY_MIGRATE,
  QUERY_STATUS,
} from './commands.js';
import { connectQmp, type QmpConnection, type QmpEvent, type Reply } from './connection.js';
import { refusedFault, socketFault } from './errors.js';
import { interpret, stateAsTold } from './events.js';
import type { QemuDriverOptions } from './options.js';
import { identifyProcess, type ProcessIdentity } from './process-identity.js';
import { Reporter } from './reporter.js';
import { type Answers, news, settle } from './settle.js';
import { takeOverCommand } from './take-over.js';
import type { Tuning } from './tuning.js';
import { freshView, type Told, type View } from './view.js';

export interface SessionOptions extends QemuDriverOptions {
  readonly tuning: Tuning;
  readonly watch: Watch;
  /** What the connection before this one has left. */
  readonly former: Pick<Session, 'bootId' | 'view'> | null;
}

/** An event that is waited for. */
export interface Expected {
  readonly event: Promise<QmpEvent>;
  seen(): boolean;
  forget(): void;
}

type Match = (event: QmpEvent) => boolean;

interface Waiter {
  readonly match: Match;
  readonly resolve: (event: QmpEvent) => void;
  readonly reject: (fault: Fault) => void;
}

/** One connection to one QEMU: what is known of its guest, kept by its events and by asking. */
export class Session {
  readonly bootId: string;
  readonly ended: Promise<Fault>;
  readonly #options: SessionOptions;
  readonly #connection: QmpConnection;
  readonly #reporter: Reporter;
  readonly #warnings: readonly string[];
  readonly #waiters = new Set<Waiter>();
  #view: View;
  #asking = false;
  #ahead: { readonly askedAtMs: number; readonly inspection: Promise<boolean> } | null = null;
  #pollTimer: NodeJS.Timeout | null = null;

  constructor(options: SessionOptions, connection: QmpConnection, opening: Opening) {
    this.#options = options;
    this.#connection = connection;
    this.bootId = opening.identity.id;
    this.#reporter = new Reporter(options.vm, options.watch, this.bootId);
    this.#warnings = opening.warnings;
    this.#view = opening.view;
    this.ended = connection.ended;
    void this.ended.then((fault) => {
      if (this.#pollTimer !== null) clearTimeout(this.#pollTimer);
      for (const waiter of this.#waiters) waiter.reject(fault);
      this.#waiters.clear();
    });
  }

  get view(): View {
    return this.#view;
  }

  /** Notes what we are about to do, so that its events are known as ours. */
  note(change: (view: View) => View): void {
    this.#view = change(this.#view);
  }

  execute(commands: readonly Command[], timeoutMs?: number): Promise<readonly Reply[]> {
    return this.#connection.execute(commands, timeoutMs ?? this.#options.tuning.commandTimeoutMs);
  }

  /** The next event that matches; rejects when the connection ends. */
  expect(match: Match): Expected {
    let seen = false;
    let forget = (): void => undefined;
    const event = new Promise<QmpEvent>((resolve, reject) => {
      const waiter: Waiter = {
        match,
        resolve: (found) => {
          seen = true;
          resolve(found);
        },
        reject,
      };
      this.#waiters.add(waiter);
      forget = () => this.#waiters.delete(waiter);
    });
    event.catch(() => undefined);
    return { event, seen: () => seen, forget };
  }

  inspection(): Inspection {
    const { state, raw, boots } = this.#view;
    return { state, raw, bootId: this.bootId, boots };
  }

  /** Asks QEMU how its guest is, and takes the answer for what is known. Throws a Fault. */
  async inspect(): Promise<Inspection> {
    await this.stays();
    let fault: unknown = null;
    await this.#connection.execute(
      [QUERY_MIGRATE, QUERY_DUMP, QUERY_STATUS],
      this.#options.tuning.commandTimeoutMs,
      (replies) => {
        fault = this.#take(() => ({
          migration: parseMigration(replies[0]),
          dump: parseDump(replies[1]),
          raw: parseStatus(replies[2]),
        }));
      },
    );
    if (fault !== null) throw fault;
    return this.inspection();
  }

  /**
   * A command that meets QEMU on its way out can keep it from ending for ever (7.2: monitor_cleanup waits for a
   * dispatcher that nobody wakes; 1 in 5, measured). So it is left alone until it says that it stays, or for a while; rejects when it has
   * ended.
   */
  async stays(): Promise<void> {
    if (!this.#view.ending) return;
    const stop = this.expect((event) => event.name === 'STOP');
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.tuning.endingMs);
    });
    try {
      await Promise.race([stop.event, patience]);
    } finally {
      clearTimeout(timer);
      stop.forget();
      this.#view = { ...this.#view, ending: false };
    }
  }

  /**
   * The inspection that a verb begins with: one that was asked for at most `maxAgeMs` ago, else a new one. What
   * events have told since is in it.
   */
  async look(maxAgeMs: number): Promise<Inspection> {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead === null || performance.now() - ahead.askedAtMs > maxAgeMs) return this.inspect();
    const inspected = await ahead.inspection;
    // Asked in vain, or answered late: a migration may have begun meanwhile.
    if (!inspected || performance.now() - ahead.askedAtMs > maxAgeMs) return this.inspect();
    return this.inspection();
  }

  /** It has stopped for what the policy answers, and stays. */
  #wantsAnswer(event: QmpEvent): boolean {
    const { state, ending } = this.#view;
    if (event.name === 'GUEST_PANICKED') return state === 'panicked' && !ending;
    return event.name === 'STOP' && (state === 'shutdown' || state === 'watchdog');
  }

  /**
   * Asks while the event is still on its way to the journal: an act that follows finds its answer here. How the
   * guest is the event has said; whether somebody migrates or dumps it no event tells.
   */
  #lookAhead(): void {
    const { commandTimeoutMs } = this.#options.tuning;
    const askedAtMs = performance.now();
    let good = false;
    const inspection = this.#connection
      .execute([QUERY_MIGRATE, QUERY_DUMP], commandTimeoutMs, (replies) => {
        const fault = this.#take(() => ({
          migration: parseMigration(replies[0]),
          dump: parseDump(replies[1]),
          raw: this.#view.raw,
        }));
        good = fault === null;
      })
      .then(
        () => good,
        () => false,
      );
    this.#ahead = { askedAtMs, inspection };
  }

  /**
   * Called in the very place of the stream where the answers stand, so that later events come after them. Answers the
   * Fault of answers that are none known here, or null.
   */
  #take(parse: () => Answers): unknown {
    let answers: Answers;
    try {
      answers = parse();
    } catch (fault) {
      return fault;
    }
    this.#settle(answers);
    return null;
  }

  close(): void {
    this.#connection.close();
  }

  onEvent(event: QmpEvent): void {
    const step = interpret(this.#view, event);
    this.#view = step.view;
    if (step.told !== null) this.tell(step.told, false);
    if (step.ask) this.#ask();
    else if (this.#wantsAnswer(event)) this.#lookAhead();
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) {
      if (!waiter.match(event)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(event);
    }
  }

  tell(told: Told, reconciled: boolean): void {
    this.#reporter.tell(told, this.#view.boots, reconciled);
  }

  /** Tells that it is connected, then what came meanwhile. */
  begin(opening: Opening): void {
    this.#sight(opening.continuous);
    for (const told of opening.told) this.tell(told, false);
    if (opening.reconciled !== null) this.tell(opening.reconciled, true);
    for (const event of opening.later) this.onEvent(event);
    this.#pollMigration();
  }

  #sight(continuous: boolean): void {
    const sighting: Sighting = {
      kind: 'connected',
      inspection: this.inspection(),
      continuous,
      warnings: this.#warnings,
    };
    this.#options.watch.onSighting(sighting);
  }

  #settle(answers: Answers): void {
    const before = this.#view;
    this.#view = settle(before, answers);
    const told = news(before, this.#view);
    const migrated = before.state === 'migrating' && this.#view.state !== 'migrating';
    if (told?.type === 'WATCHDOG') {
      this.#view = { ...this.#view, watchdogToldAtMs: this.#view.stoppedAtMs };
    }
    // The same connection all along, so every boot was counted.
    if (migrated && told === null) this.#sight(true);
    if (told !== null) this.tell(told, migrated);
    this.#pollMigration();
  }

  #ask(): void {
    if (this.#asking) return;
    this.#asking = true;
    this.inspect()
      .catch((error: unknown) => {
        this.#options.log.debug(
          { err: error, vm: this.#options.vm.id },
          'the VMM could not be asked',
        );
      })
      .finally(() => {
        this.#asking = false;
      });
  }

  /** QEMU tells nobody when a migration ends without the guest running here, so look at a bounded pace. */
  #pollMigration(): void {
    if (this.#pollTimer !== null || this.#view.state !== 'migrating') return;
    this.#pollTimer = setTimeout(() => {
      this.#pollTimer = null;
      this.#ask();
      this.#pollMigration();
    }, this.#options.tuning.migrationPollMs);
    this.#pollTimer.unref();
  }
}

/** What was found out while connecting. */
export interface Opening {
  readonly identity: ProcessIdentity;
  readonly warnings: readonly string[];
  readonly view: View;
  readonly continuous: boolean;
  /** Events of before the inspection, told already as far as the state goes. */
  readonly told: readonly Told[];
  readonly reconciled: Told | null;
  /** Events of after the inspection. */
  readonly later: readonly QmpEvent[];
}

/** Connects and asks; nothing is told yet: `begin` does, in the same turn. Rejects with a Fault. */
export const openSession = async (
  options: SessionOptions,
): Promise<{ readonly session: Session; readonly opening: Opening }> => {
  const { socket, tuning, watch, vm } = options;
  const before: QmpEvent[] = [];
  const later: QmpEvent[] = [];
  let inspected = false;
  let session: Session | null = null;
  const connection = await connectQmp({
    socket,
    signal: watch.signal,
    timeoutMs: tuning.connectTimeoutMs,
    maxLineBytes: tuning.maxLineBytes,
    onEvent: (event) => {
      if (session !== null) session.onEvent(event);
      else (inspected ? later : before).push(event);
    },
  });
  try {
    const takeOver = watch.takeOver();
    const taking = takeOver === null ? [] : [takeOverCommand(takeOver, vm.release)];
    const first = [NEGOTIATE, ...taking];
    const replies = await connection.execute(
      [...first, QUERY_CPUS, QUERY_DUMP, QUERY_MIGRATE, QUERY_STATUS],
      tuning.connectTimeoutMs,
      () => {
        inspected = true;
      },
    );
    const [negotiated, taken] = replies;
    if (negotiated?.ok === false) throw refusedFault(NEGOTIATE.name, negotiated.error);
    const refused = takeOver !== null && taken?.ok === false;
    const [cpus, dump, migration, status] = replies.slice(first.length);
    const thread = parseCpuThread(cpus);
    const answers = {
      raw: parseStatus(status),
      migration: parseMigration(migration),
      dump: parseDump(dump),
    };
    const identity = await identifyProcess(socket, thread).catch((error: unknown) => {
      throw socketFault(error, socket);
    });
    const warnings = [
      ...(refused
        ? ['QEMU refused set-action, so vmwarden has not taken over: QEMU 6.0 or later has it.']
        : []),
      ...startWarnings(identity.commandLine, refused ? null : takeOver, vm.release.reboot),
    ];
    const opening = { ...meet(options, identity, answers, before), identity, warnings, later };
    session = new Session(options, connection, opening);
    return { session, opening };
  } catch (error) {
    connection.close();
    throw error;
  }
};

/** Compares what is found with what was known before. */
const meet = (
  options: SessionOptions,
  identity: ProcessIdentity,
  answers: Answers,
  before: readonly QmpEvent[],
): Pick<Opening, 'view' | 'continuous' | 'told' | 'reconciled'> => {
  const { former, watch, clock } = options;
  const same = former !== null && former.bootId === identity.id;
  const lastSeen = watch.lastSeen();
  const known = lastSeen !== null && lastSeen.bootId === identity.id ? lastSeen.state : null;
  const was = same ? former.view.state : known;
  // Stopped before and running now: somebody started it again, which counts as a boot that was not seen.
  const restarted = was !== null && answers.raw === 'running' && STOPPED.has(was);
  let view: View = {
    ...freshView((former?.view.boots ?? 0) + (same ? 0 : 1) + (restarted ? 1 : 0)),
    hasRun: (same && former.view.hasRun) || (known !== null && SHOWS_RUN.has(known)),
    takenBack: same && former.view.takenBack,
    shutdown: same ? former.view.shutdown : null,
  };
  const told: Told[] = [];
  for (const event of before) {
    const step = interpret(view, event);
    view = step.view;
    if (step.told !== null) told.push(step.told);
  }
  view = settle(view, answers);
  const { state, raw } = view;
  const answered = known === state || told.some((one) => one.state === state);
  const reconciled = answered ? null : stateAsTold(raw, state);
  if (reconciled?.type === 'WATCHDOG') view = { ...view, watchdogToldAtMs: clock.now().wallMs };
  const continuous = known === state && before.length === 0 && HOLDS_STILL.has(state);
  return { view, continuous, told, reconciled };
};

/** A guest that was stopped, and in the same way is stopped now, has not booted by itself meanwhile. */
const STOPPED: ReadonlySet<string> = new Set([
  'paused',
  'panicked',
  'shutdown',
  'watchdog',
  'error',
]);
const HOLDS_STILL: ReadonlySet<string> = new Set([...STOPPED, 'prelaunch']);
/** States that only a guest that has run can have been seen in. */
const SHOWS_RUN: ReadonlySet<string> = new Set([...STOPPED, 'running', 'suspended']);
