import { type Fault, isFault } from '../../lib/fault.js';
import type { Inspection, Watch } from '../driver.js';
import { neverFault, showsNobody, socketFault } from './errors.js';
import { exitOf } from './events.js';
import { openSession } from './opening.js';
import type { QemuDriverOptions } from './options.js';
import { Reporter } from './reporter.js';
import type { Session } from './session.js';
import type { Tuning } from './tuning.js';
import type { Told } from './view.js';

export interface ContactOptions extends QemuDriverOptions {
  readonly tuning: Tuning;
}

/** Whether there is a QEMU to speak to. */
export type ContactState =
  | { readonly kind: 'connected'; readonly session: Session }
  /** No connection, and why. The process may live on. */
  | { readonly kind: 'lost'; readonly fault: Fault }
  /** Nobody is behind the socket any more. */
  | { readonly kind: 'exited'; readonly inspection: Inspection };

interface Waiter {
  readonly match: (state: ContactState) => boolean;
  readonly resolve: (state: ContactState) => void;
}

/** Keeps a connection to the VM's QEMU, and tells when its process has gone. */
export class Contact {
  readonly #options: ContactOptions;
  readonly #waiters = new Set<Waiter>();
  #state: ContactState;
  /** The last connection, also when it is over. */
  #former: Session | null = null;
  /** Reason of the last `disconnected` told since the last connection. */
  #toldReason: string | null = null;

  constructor(options: ContactOptions) {
    this.#options = options;
    this.#state = { kind: 'lost', fault: neverFault(options.socket) };
  }

  get state(): ContactState {
    return this.#state;
  }

  /** The next state that matches, or the present one. */
  until(match: Waiter['match']): {
    readonly reached: Promise<ContactState>;
    readonly forget: () => void;
  } {
    if (match(this.#state))
      return { reached: Promise.resolve(this.#state), forget: () => undefined };
    let waiter: Waiter | null = null;
    const reached = new Promise<ContactState>((resolve) => {
      waiter = { match, resolve };
      this.#waiters.add(waiter);
    });
    return {
      reached,
      forget: () => {
        if (waiter !== null) this.#waiters.delete(waiter);
      },
    };
  }

  /** Connects, and again when the connection ends, until the signal aborts. */
  async keep(watch: Watch): Promise<void> {
    let attempt = 0;
    while (!watch.signal.aborted) {
      try {
        const session = await this.#connect(watch);
        attempt = 0;
        const fault = await session.ended;
        if (watch.signal.aborted) break;
        this.#lost(watch, fault);
        // Whether the process has gone shows at once, so the first attempt does not wait.
        continue;
      } catch (error) {
        if (watch.signal.aborted) break;
        this.#failed(watch, isFault(error) ? error : socketFault(error, this.#options.socket));
      }
      await this.#pause(attempt++, watch.signal);
    }
    this.#set({ kind: 'lost', fault: neverFault(this.#options.socket) });
  }

  async #connect(watch: Watch): Promise<Session> {
    const former = this.#former;
    const { session, opening } = await openSession({ ...this.#options, watch, former });
    if (former !== null && former.bootId !== session.bootId && this.#state.kind !== 'exited') {
      // Another process has the socket, so the one before has gone.
      this.#tellExit(former);
    }
    this.#former = session;
    this.#toldReason = null;
    this.#set({ kind: 'connected', session });
    this.#options.log.info(
      { vm: this.#options.vm.id, status: opening.view.raw, bootId: session.bootId },
      'connected to QEMU',
    );
    session.begin(opening);
    return session;
  }

  #lost(watch: Watch, fault: Fault): void {
    this.#set({ kind: 'lost', fault });
    if (this.#toldReason === fault.reason) return;
    this.#toldReason = fault.reason;
    this.#options.log.warn({ vm: this.#options.vm.id, reason: fault.reason }, fault.message);
    watch.onSighting({ kind: 'disconnected', reason: fault.message });
  }

  #failed(watch: Watch, fault: Fault): void {
    if (!showsNobody(fault)) {
      this.#lost(watch, fault);
      return;
    }
    if (this.#state.kind === 'exited') return;
    const former = this.#former;
    if (former !== null) {
      this.#exited({ ...former.inspection(), state: 'exited', raw: 'exited' });
      this.#tellExit(former);
      return;
    }
    const lastSeen = watch.lastSeen();
    if (lastSeen === null) {
      this.#lost(watch, fault);
      return;
    }
    this.#exited({ state: 'exited', raw: 'exited', bootId: lastSeen.bootId, boots: 0 });
    if (lastSeen.state === 'exited') return;
    const initiator = lastSeen.state === 'migrating' ? 'host' : 'unknown';
    const reporter = new Reporter(this.#options.vm, watch, lastSeen.bootId);
    reporter.tell(exitTold(initiator, 'gone-meanwhile'), 0, true);
  }

  #exited(inspection: Inspection): void {
    this.#options.log.info(
      { vm: this.#options.vm.id, bootId: inspection.bootId },
      'the QEMU process has ended',
    );
    this.#set({ kind: 'exited', inspection });
  }

  #tellExit(former: Session): void {
    const { initiator, reason } = exitOf(former.view);
    former.tell(exitTold(initiator, reason), false);
  }

  #set(state: ContactState): void {
    this.#state = state;
    for (const waiter of this.#waiters) {
      if (!waiter.match(state)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(state);
    }
  }

  #pause(attempt: number, signal: AbortSignal): Promise<void> {
    const { backoffBaseMs, backoffMaxMs } = this.#options.tuning;
    const longest = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(attempt, 20));
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, longest * (0.5 + Math.random() / 2));
      if (signal.aborted) done();
      else signal.addEventListener('abort', done, { once: true });
    });
  }
}

const exitTold = (initiator: Told['initiator'], reason: string): Told => ({
  type: 'VMM_EXITED',
  initiator,
  facts: { reason },
  state: 'exited',
  occurredAtMs: null,
});
