import type { EventType } from '../../src/event/event-type.js';
import type { Initiator } from '../../src/event/report.js';
import { vmmEvent } from '../../src/event/vmm-event.js';
import type {
  Act,
  Capabilities,
  Driver,
  DumpTarget,
  GuestState,
  Inspection,
  Outcome,
  TakeOver,
  Verb,
  Watch,
} from '../../src/vmm/driver.js';

/**
 * A guest in memory behind the driver contract, for tests of the engine: it does what it is told, tells it as QEMU
 * would, counts its boots, and can be made to fail, hang or vanish.
 */
export class ScriptedDriver implements Driver {
  readonly kind = 'scripted';
  state: GuestState = 'running';
  boots = 1;
  readonly calls: string[] = [];
  /** What the next verbs answer instead of acting. */
  readonly answers: (Outcome | Promise<Outcome>)[] = [];
  watch: Watch | null = null;
  /** Never makes contact. */
  silent = false;
  startedToWait: TakeOver | null = { panic: true, shutdown: true, watchdog: true };
  readonly #vm: string;
  readonly #process: string;
  #connected = false;

  constructor(vm: string, process = 'process-1') {
    this.#vm = vm;
    this.#process = process;
  }

  capabilities(): Capabilities {
    const able = { able: true } as const;
    return {
      verbs: {
        restart: able,
        restartProcess: able,
        dump: able,
        powerOff: able,
        pause: able,
        resume: able,
        nmi: able,
      },
      takeOver: true,
    };
  }

  async start(watch: Watch): Promise<void> {
    this.watch = watch;
    if (!this.silent) this.connect();
    await new Promise<void>((resolve) => {
      watch.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  connect(continuous = true): void {
    this.#connected = true;
    this.watch?.onSighting({
      kind: 'connected',
      inspection: this.#inspection(),
      continuous,
      startedToWait: this.startedToWait,
      warnings: [],
    });
  }

  disconnect(): void {
    this.#connected = false;
    this.watch?.onSighting({ kind: 'disconnected', reason: 'the socket closed' });
  }

  panic(): void {
    this.state = 'panicked';
    this.tell('CRASH', 'guest');
  }

  tell(type: EventType, initiator: Initiator, action = 'pause', reconciled = false): void {
    const detail = { reason: 'told by a test', action, arguments: [], text: '' };
    this.watch?.onSighting({
      kind: 'event',
      boots: this.boots,
      state: this.state,
      report: {
        vm: this.#vm,
        uid: '',
        event: vmmEvent(type, detail),
        origin: 'qmp',
        initiator,
        bootId: this.#process,
        key: null,
        occurredAtMs: null,
        reconciled,
      },
    });
  }

  async inspect(): Promise<Inspection> {
    return this.#inspection();
  }

  restart(act: Act): Promise<Outcome> {
    return this.#verb('restart', act, () => {
      this.boots += 1;
      this.state = 'running';
      this.tell('RESET', 'vmwarden');
    });
  }

  restartProcess(act: Act): Promise<Outcome> {
    return this.#verb('restartProcess', act, () => {
      this.boots += 1;
      this.state = 'running';
      this.tell('RESET', 'vmwarden');
    });
  }

  nmi(act: Act): Promise<Outcome> {
    return this.#verb('nmi', act, () => undefined);
  }

  dump(act: Act & DumpTarget): Promise<Outcome> {
    return this.#verb('dump', act, () => undefined);
  }

  powerOff(act: Act): Promise<Outcome> {
    return this.#verb('powerOff', act, () => {
      this.state = 'exited';
      this.tell('VMM_EXITED', 'vmwarden');
    });
  }

  pause(act: Act): Promise<Outcome> {
    return this.#verb('pause', act, () => {
      this.state = 'paused';
    });
  }

  resume(act: Act): Promise<Outcome> {
    return this.#verb('resume', act, () => {
      this.state = 'running';
    });
  }

  async refresh(): Promise<void> {
    this.calls.push('refresh');
  }

  async release(): Promise<void> {
    this.calls.push('release');
  }

  async #verb(verb: Verb, act: Act, effect: () => void): Promise<Outcome> {
    this.calls.push(verb);
    const scripted = this.answers.shift();
    if (scripted !== undefined) return await scripted;
    if (!this.#connected) {
      return { kind: 'failed', reason: 'NOT_CONNECTED', message: 'no contact', proof: [] };
    }
    const { boots } = act.cause;
    if (verb === 'restart' && this.state === 'running' && (boots === null || this.boots > boots)) {
      return { kind: 'already', proof: ['runs'], state: 'running' };
    }
    effect();
    return { kind: 'applied', proof: [`${verb} seen`], state: this.state };
  }

  #inspection(): Inspection {
    return { state: this.state, raw: this.state, bootId: this.#process, boots: this.boots };
  }
}
