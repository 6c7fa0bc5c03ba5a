import type { VmConfig } from '../../config/config.js';
import type { Logger } from '../../lib/logger.js';
import type {
  AgentHello,
  AgentLink,
  AgentOutcome,
  AgentVerb,
  Attachment,
  FromAgent,
} from '../attach.js';
import type { GuestState, Inspection, TakeOver, Watch } from '../driver.js';
import {
  attachedFault,
  notAttachedFault,
  replacedFault,
  stoppingFault,
  uidFault,
  VERSIONS,
  versionFault,
} from './errors.js';
import { EventsWindow } from './events-window.js';
import { GuestWatch } from './guest-watch.js';
import { Session } from './session.js';
import { type OpenStep, Steps } from './steps.js';
import type { Tuning } from './tuning.js';
import { inspectionOf, type View } from './view.js';

export interface ContactOptions {
  readonly vm: VmConfig;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  readonly tuning: Tuning;
}

const NOTHING: TakeOver = { panic: false, shutdown: false, watchdog: false };

/** Which agent speaks for the VM, and the step that it is asked for. */
export class Contact {
  readonly #options: ContactOptions;
  readonly #steps = new Steps();
  #watch: Watch | null = null;
  #guest: GuestWatch | null = null;
  #session: Session | null = null;
  /** Of the agent that is or was attached. */
  #hello: AgentHello | null = null;
  #reason = 'none has attached since vmwarden started';
  /** How far the events of the last instance are durable. */
  #acknowledged = { instance: '', through: 0n };
  /** Instance that the open step was sent to; empty: to none yet. */
  #askedOf = '';
  readonly #waiting = new Set<() => void>();

  constructor(options: ContactOptions) {
    this.#options = options;
  }

  get session(): Session | null {
    return this.#session;
  }

  get hello(): AgentHello | null {
    return this.#hello;
  }

  get view(): View | null {
    return this.#guest?.view ?? null;
  }

  /** Why no agent is attached. */
  get reason(): string {
    return this.#reason;
  }

  /** Lets agents attach until the watch's signal aborts. */
  async keep(watch: Watch): Promise<void> {
    const { vm, tuning } = this.#options;
    this.#watch = watch;
    this.#guest = new GuestWatch({ vm, watch, steps: this.#steps, tuning });
    const { signal } = watch;
    if (!signal.aborted) {
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    this.#guest.end();
    this.#session?.close(stoppingFault());
    this.#session = null;
    this.#reason = 'vmwarden no longer watches this VM';
  }

  /** Throws the Fault of an agent that is not taken in. */
  attach(hello: AgentHello, link: AgentLink): Attachment {
    const guest = this.#guest;
    if (guest === null || this.#watch?.signal.aborted !== false) throw stoppingFault();
    const version = this.#admit(hello);
    const { tuning, vm, log } = this.#options;
    this.#session?.close(replacedFault());
    const session = new Session(hello, link, this.#window(hello, link), tuning);
    this.#session = session;
    this.#hello = hello;
    session.send({
      kind: 'welcome',
      version,
      acknowledgedThrough: this.#acknowledged.through,
      maxUnacknowledged: tuning.maxUnacknowledged,
    });
    log.info({ vm: vm.id, agent: hello.agent, state: hello.guest.raw }, 'agent attached');
    guest.begin(hello);
    if (this.#steps.open !== null) this.#askAgain(session, this.#steps.open);
    this.tellTakeOver().catch((fault: unknown) => {
      log.warn({ vm: vm.id, err: fault }, 'no take-over');
    });
    for (const wake of [...this.#waiting]) wake();
    return {
      take: (message) => this.#take(session, guest, message),
      gone: (reason) => this.#gone(session, reason),
    };
  }

  /** Asks the agent now. Rejects with a Fault. */
  async inspect(): Promise<Inspection> {
    const session = this.#session;
    if (session !== null) await session.inspect();
    const { view } = this;
    if (view !== null && (session !== null || view.state === 'exited')) return inspectionOf(view);
    throw notAttachedFault(this.#reason);
  }

  /** The same, waiting for an agent where none is attached; the caller bounds it. */
  async inspectOnceAttached(): Promise<Inspection> {
    for (;;) {
      const session = this.#session;
      if (session === null && this.view?.state !== 'exited') await this.#nextAttached();
      try {
        return await this.inspect();
      } catch (fault) {
        // It went away meanwhile: its next attachment is asked.
        if (session !== null && session === this.#session) throw fault;
      }
    }
  }

  /** Asks the agent for a step. Resolves with what becomes of it; never, if nobody says. */
  beginStep(
    asked: Pick<OpenStep, 'id' | 'verb' | 'dumpPath' | 'endsAtMs' | 'onProgress'>,
  ): Promise<AgentOutcome> {
    const { bootId = '', boots = 0 } = this.view ?? {};
    const step = this.#steps.begin({ ...asked, bootId, boots });
    this.#askedOf = '';
    if (this.#session !== null) this.#sendStep(this.#session, step);
    return step.settled;
  }

  giveUpStep(reason: string): void {
    const { open } = this.#steps;
    if (open === null) return;
    this.#steps.giveUp();
    this.#session?.send({ kind: 'cancelStep', stepId: open.id, reason });
  }

  /** Says what the VMM shall leave to vmwarden, also that it is nothing. Rejects with a Fault. */
  async tellTakeOver(): Promise<void> {
    const session = this.#session;
    if (session?.hello.takeOver !== true) return;
    await session.takeOver(this.#watch?.takeOver() ?? NOTHING);
  }

  /** The version to speak. */
  #admit(hello: AgentHello): number {
    const { vm } = this.#options;
    if (vm.uid !== '' && hello.uid !== '' && hello.uid !== vm.uid) {
      throw uidFault(vm.id, hello.uid, vm.uid);
    }
    const version = Math.max(0, ...hello.versions.filter((one) => VERSIONS.includes(one)));
    if (version === 0) throw versionFault(hello.versions);
    const present = this.#session;
    if (present !== null && present.hello.instance !== hello.instance) {
      throw attachedFault(vm.id, present.hello, performance.now() - present.sinceMs);
    }
    return version;
  }

  #window({ instance }: AgentHello, link: AgentLink): EventsWindow {
    if (this.#acknowledged.instance !== instance) this.#acknowledged = { instance, through: 0n };
    return new EventsWindow(link, {
      max: this.#options.tuning.maxUnacknowledged,
      through: this.#acknowledged.through,
      onAcknowledged: (through) => {
        // A former stream's events may become durable after those of the present one.
        const { instance: present, through: before } = this.#acknowledged;
        if (present === instance && through > before) this.#acknowledged = { instance, through };
      },
    });
  }

  /** An agent does a step once: the one that comes back is asked again, by the same id, unless it can't know of it. */
  #askAgain(session: Session, step: OpenStep): void {
    const { instance, verbs, guest } = session.hello;
    const forgot = this.#askedOf !== '' && this.#askedOf !== instance;
    if (!verbs.has(step.verb)) this.#steps.saw(CANNOT_ANY_MORE);
    else if (forgot && !isSafeTwice(step.verb, guest.state)) this.#steps.saw(FORGOTTEN);
    else this.#sendStep(session, step);
  }

  #sendStep(session: Session, { id, verb, dumpPath, endsAtMs, bootId, boots }: OpenStep): void {
    const leftMs = Math.max(1, endsAtMs - performance.now());
    this.#askedOf = session.hello.instance;
    const timeoutMs = leftMs - Math.min(this.#options.tuning.proofMs, leftMs / 10);
    session.send({ kind: 'step', step: { id, verb, timeoutMs, dumpPath, bootId, boots } });
  }

  async #take(session: Session, guest: GuestWatch, message: FromAgent): Promise<void> {
    if (session !== this.#session) return;
    session.heard();
    switch (message.kind) {
      case 'events':
        for (const event of message.events) {
          const settled = await session.window.admit(event.sequence);
          if (session !== this.#session) return;
          guest.event(event, settled);
        }
        return;
      case 'guest':
        guest.follow(message.guest);
        if (message.inspectId !== 0) session.inspected(message.inspectId);
        return;
      case 'progress': {
        const { open } = this.#steps;
        if (open?.id === message.stepId) open.onProgress(message.progress);
        return;
      }
      case 'outcome':
        this.#answered(session, message.stepId, message.outcome);
        return;
      case 'tookOver':
        session.tookOver(message.revision, message.problem);
        return;
    }
  }

  #answered(session: Session, stepId: string, outcome: AgentOutcome): void {
    const verdict = this.#steps.answered(stepId, outcome);
    if (verdict === 'late' || verdict === 'conflicting') {
      const { vm, log } = this.#options;
      log.warn({ vm: vm.id, step: stepId, verdict, outcome }, 'outcome not taken');
    }
    session.send({ kind: 'outcomeAck', stepId, verdict });
  }

  #gone(session: Session, reason: string): void {
    session.end(reason);
    if (session !== this.#session) return;
    this.#session = null;
    this.#reason = reason;
    this.#guest?.silent();
    this.#watch?.onSighting({ kind: 'disconnected', reason: `its agent is gone: ${reason}` });
  }

  #nextAttached(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
    });
  }
}

/** An agent that lost its memory may have done it already: doing it once more does no more than that. */
const isSafeTwice = (verb: AgentVerb, state: GuestState): boolean => {
  switch (verb) {
    case 'powerOff':
    case 'pause':
    case 'resume':
    case 'dump':
      return true;
    case 'restart':
      // One that waits has not booted again; one that runs may have.
      return state !== 'running' && state !== 'suspended';
    case 'nmi':
      return false;
  }
};

const FORGOTTEN: AgentOutcome = {
  kind: 'unverified',
  reason: 'AGENT_FORGOT',
  message: 'the agent that was asked came back without its memory (another instance)',
  proof: [],
};

const CANNOT_ANY_MORE: AgentOutcome = {
  kind: 'unverified',
  reason: 'AGENT_CANNOT',
  message: 'the agent that came back no longer names the verb among what it can do',
  proof: [],
};
