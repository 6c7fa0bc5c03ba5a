import { isFault } from '../../lib/fault.js';
import { already, failed, Running, unsupported } from '../act.js';
import type {
  Act,
  Capabilities,
  Driver,
  DumpTarget,
  Inspection,
  Outcome,
  Watch,
} from '../driver.js';
import { Contact } from './contact.js';
import { dump } from './dump.js';
import { stoppedFault } from './errors.js';
import { nmi } from './nmi.js';
import type { QemuDriverOptions } from './options.js';
import { pause, resume } from './pause.js';
import { powerOff } from './power-off.js';
import { restart } from './restart.js';
import type { Session } from './session.js';
import { releaseCommands, TakenOver, takeOverCommand } from './take-over.js';
import { TUNING, type Tuning } from './tuning.js';

const NO_START = 'NO_START_COMMAND';
const NO_START_TEXT = 'how a QEMU process is started anew is not known here';

const CAPABILITIES: Capabilities = {
  verbs: {
    restart: { able: true },
    restartProcess: { able: false, reason: `${NO_START}: ${NO_START_TEXT}` },
    dump: { able: true },
    powerOff: { able: true },
    pause: { able: true },
    resume: { able: true },
    nmi: { able: true },
  },
  takeOver: true,
};

export type { QemuDriverOptions } from './options.js';

/** Watches one QEMU over QMP and acts on it. */
export const createQemuDriver = (options: QemuDriverOptions): Driver => new QemuDriver(options);

class QemuDriver implements Driver {
  readonly kind = 'qemu';
  readonly #options: QemuDriverOptions;
  readonly #tuning: Tuning;
  readonly #contact: Contact;
  readonly #takenOver = new TakenOver();
  #watch: Watch | null = null;
  #acting = false;

  constructor(options: QemuDriverOptions) {
    this.#options = options;
    this.#tuning = { ...TUNING, ...options.tuning };
    this.#contact = new Contact({
      ...options,
      tuning: this.#tuning,
      takenOver: this.#takenOver,
    });
  }

  capabilities(): Capabilities {
    return CAPABILITIES;
  }

  async start(watch: Watch): Promise<void> {
    this.#watch = watch;
    await this.#contact.keep(watch);
  }

  async inspect(signal: AbortSignal): Promise<Inspection> {
    if (signal.aborted) throw stoppedFault();
    const { state } = this.#contact;
    if (state.kind === 'exited') return state.inspection;
    if (state.kind !== 'connected') throw state.fault;
    return orAborted(state.session.inspect(), signal);
  }

  restart(act: Act): Promise<Outcome> {
    return this.#act(act, (session, running) =>
      restart(session, running, act, this.#options.vm.release, this.#tuning),
    );
  }

  dump(act: Act & DumpTarget): Promise<Outcome> {
    return this.#act(act, (session, running) => dump(session, running, act, this.#tuning));
  }

  async powerOff(act: Act): Promise<Outcome> {
    if (this.#contact.state.kind === 'exited') return already(['process gone'], 'exited');
    const exit = this.#contact.until((state) => state.kind === 'exited');
    const gone = exit.reached.then(() => undefined);
    try {
      return await this.#act(act, (session, running) =>
        powerOff(session, running, act, this.#tuning, gone),
      );
    } finally {
      exit.forget();
    }
  }

  pause(act: Act): Promise<Outcome> {
    return this.#act(act, (session, running) => pause(session, running, act, this.#tuning));
  }

  resume(act: Act): Promise<Outcome> {
    return this.#act(act, (session, running) => resume(session, running, act, this.#tuning));
  }

  nmi(act: Act): Promise<Outcome> {
    return this.#act(act, (session, running) => nmi(session, running, act, this.#tuning));
  }

  async restartProcess(_act: Act): Promise<Outcome> {
    return unsupported(NO_START, NO_START_TEXT);
  }

  async refresh(): Promise<void> {
    const { state } = this.#contact;
    // Otherwise it is asked for again at the next connect.
    if (state.kind !== 'connected' || this.#watch === null) return;
    const { session } = state;
    const takeOver = this.#watch.takeOver();
    if (takeOver !== null) {
      this.#takenOver.tell(session.bootId);
      await session.execute([takeOverCommand(takeOver, this.#options.vm.release)]);
    } else await this.#putBack(session);
  }

  async release(signal: AbortSignal): Promise<void> {
    const { state } = this.#contact;
    if (state.kind === 'connected') await orAborted(this.#putBack(state.session), signal);
  }

  async #putBack(session: Session): Promise<void> {
    if (!this.#takenOver.holds(session.bootId)) return;
    // Before the answer: what is taken over meanwhile counts.
    this.#takenOver.clear();
    try {
      await session.execute(releaseCommands(this.#options.vm.release));
    } catch (fault) {
      this.#takenOver.tell(session.bootId);
      throw fault;
    }
  }

  /** One act at a time, on the connection there is; whatever happens, an outcome. */
  async #act(
    act: Act,
    verb: (session: Session, running: Running) => Promise<Outcome>,
  ): Promise<Outcome> {
    if (this.#acting) return failed('BUSY', 'another act on this VM is not over yet');
    const { state } = this.#contact;
    if (state.kind === 'exited') return failed('VMM_GONE', 'the QEMU process has ended');
    if (state.kind !== 'connected') return failed('NOT_CONNECTED', state.fault.message);
    this.#acting = true;
    const running = new Running(act, 'QMP_REFUSED');
    try {
      return await verb(state.session, running);
    } catch (error) {
      return await this.#explain(error, state.session, running);
    } finally {
      running.end();
      this.#acting = false;
    }
  }

  /** A connection that broke leaves open whether QEMU has ended: what the next connect finds decides. */
  async #explain(error: unknown, session: Session, running: Running): Promise<Outcome> {
    const outcome = running.outcomeOf(error);
    if (!isFault(error) || error.code !== 'UNAVAILABLE') return outcome;
    const next = this.#contact.until(
      (state) =>
        state.kind === 'exited' || (state.kind === 'connected' && state.session !== session),
    );
    const found = await running
      .waitFor(next.reached, this.#tuning.commandTimeoutMs)
      .catch(() => null);
    next.forget();
    return found?.kind === 'exited'
      ? failed('VMM_GONE', 'the QEMU process ended meanwhile', running.proof)
      : outcome;
  }
}

const orAborted = <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => reject(stoppedFault());
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
