import type { Fault } from '../../lib/fault.js';
import type { Inspection, TakeOver, Watch } from '../driver.js';
import type { QmpConnection } from './connection.js';
import { EventWaiters, type Expected } from './event-waiters.js';
import { interpret } from './events.js';
import { answersOf, INSPECTION, tryAnswers } from './inspection.js';
import type { Command, QmpEvent, Reply } from './messages.js';
import type { QemuDriverOptions } from './options.js';
import type { ProcessIdentity } from './process-identity.js';
import { Reporter } from './reporter.js';
import { type Answers, news, settle } from './settle.js';
import type { TakenOver } from './take-over.js';
import type { Tuning } from './tuning.js';
import type { Told, View } from './view.js';

export interface SessionOptions extends QemuDriverOptions {
  readonly tuning: Tuning;
  readonly watch: Watch;
  readonly takenOver: TakenOver;
  /** What the connection before this one has left. */
  readonly former: Pick<Session, 'bootId' | 'view'> | null;
}

/** What was found out while connecting. */
export interface Opening {
  readonly identity: ProcessIdentity;
  readonly startedToWait: TakeOver | null;
  readonly warnings: readonly string[];
  readonly view: View;
  readonly continuous: boolean;
  /** Events of before the inspection, told already as far as the state goes. */
  readonly told: readonly Told[];
  readonly reconciled: Told | null;
  /** Events of after the inspection. */
  readonly later: readonly QmpEvent[];
}

/** An inspection that was asked for before anybody wanted it. */
interface LookAhead {
  /** When its question was written, by performance.now(). */
  readonly askedAtMs: number;
  /** The guest's RunState word that it has to confirm. */
  readonly raw: string;
  /** True when QEMU confirmed it, and what it answered has been taken in. */
  readonly confirmed: Promise<boolean>;
}

/** One connection to one QEMU: what is known of its guest, kept by its events and by asking. */
export class Session {
  readonly bootId: string;
  readonly ended: Promise<Fault>;
  readonly #options: SessionOptions;
  readonly #connection: QmpConnection;
  readonly #reporter: Reporter;
  /** How this QEMU was started does not change while it lives. */
  readonly #started: Pick<Opening, 'startedToWait' | 'warnings'>;
  readonly #waiters = new EventWaiters();
  #view: View;
  #asking = false;
  #ahead: LookAhead | null = null;
  #pollTimer: NodeJS.Timeout | null = null;

  constructor(options: SessionOptions, connection: QmpConnection, opening: Opening) {
    this.#options = options;
    this.#connection = connection;
    this.bootId = opening.identity.id;
    this.#reporter = new Reporter(options.vm, options.watch, this.bootId);
    const { startedToWait, warnings } = opening;
    this.#started = { startedToWait, warnings };
    this.#view = opening.view;
    this.ended = connection.ended;
    void this.ended.then((fault) => {
      if (this.#pollTimer !== null) clearTimeout(this.#pollTimer);
      this.#waiters.end(fault);
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
  expect(match: (event: QmpEvent) => boolean): Expected {
    return this.#waiters.expect(match);
  }

  inspection(): Inspection {
    const { state, raw, boots } = this.#view;
    return { state, raw, bootId: this.bootId, boots };
  }

  /** Asks QEMU how its guest is, and takes the answer for what is known. Throws a Fault. */
  async inspect(): Promise<Inspection> {
    await this.stays();
    let fault: unknown = null;
    await this.#connection.execute(INSPECTION, this.#options.tuning.commandTimeoutMs, (replies) => {
      fault = this.#take(() => answersOf(replies));
    });
    if (fault !== null) throw fault;
    return this.inspection();
  }

  /**
   * The inspection that a verb begins with, no older than `maxAgeMs`: one that was asked for while the event went to the
   * journal, else a new one.
   */
  async look(maxAgeMs: number): Promise<Inspection> {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead !== null && isFresh(ahead, maxAgeMs) && (await ahead.confirmed)) {
      // It may have waited for its answer; and what events have told since is in the view.
      if (isFresh(ahead, maxAgeMs) && this.#view.raw === ahead.raw && !this.#view.ending) {
        return this.inspection();
      }
    }
    return this.inspect();
  }

  /**
   * Asks all that a verb asks before it acts, in the time that the journal needs for the event. The answer counts only if
   * QEMU says the very state that its event told: a migration that ended in between, or a guest that was continued, shows.
   */
  #lookAhead(): void {
    const { raw, ending } = this.#view;
    // One that ends is left alone; see `stays`.
    if (ending || this.#options.tuning.answerMaxAgeMs === 0) return;
    let confirmed = false;
    const answered = this.#connection.execute(
      INSPECTION,
      this.#options.tuning.commandTimeoutMs,
      (replies) => {
        const answers = tryAnswers(replies);
        if (answers?.raw !== raw || this.#view.raw !== raw) return;
        this.#settle(answers);
        confirmed = true;
      },
    );
    this.#ahead = {
      askedAtMs: performance.now(),
      raw,
      // A connection that ends, or is silent, tells so to the verb when that asks for itself.
      confirmed: answered.then(
        () => confirmed,
        () => false,
      ),
    };
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
    // Behind what was told, which is on its way to the journal when this turn ends.
    else if (asksForAnAct(event, this.#view)) {
      queueMicrotask(() => setImmediate(() => this.#lookAhead()));
    }
    this.#waiters.tell(event);
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
    this.#options.watch.onSighting({
      kind: 'connected',
      inspection: this.inspection(),
      continuous,
      ...this.#started,
    });
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

const isFresh = ({ askedAtMs }: LookAhead, maxAgeMs: number): boolean =>
  performance.now() - askedAtMs <= maxAgeMs;

/** A guest that has just stopped for what policies answer. */
const asksForAnAct = ({ name }: QmpEvent, { state }: View): boolean =>
  (name === 'GUEST_PANICKED' && state === 'panicked') ||
  (name === 'WATCHDOG' && state === 'watchdog') ||
  (name === 'STOP' && state === 'shutdown');
