import type { VmConfig } from '../../config/config.js';
import { vmmEvent } from '../../event/vmm-event.js';
import type { Fault } from '../../lib/fault.js';
import type { AgentEvent, AgentHello, AgentOutcome, Guest } from '../attach.js';
import type { Watch } from '../driver.js';
import type { Steps } from './steps.js';
import type { Tuning } from './tuning.js';
import {
  afterEvent,
  explain,
  follow,
  inspectionOf,
  meet,
  placeOf,
  type Told,
  unexplained,
  type View,
} from './view.js';

type Taken = Extract<AgentEvent, { readonly refused: null }>;

export interface GuestWatchOptions {
  readonly vm: VmConfig;
  readonly watch: Watch;
  readonly steps: Steps;
  readonly tuning: Tuning;
}

/** What the agents of one VM have said of its guest, told on as sightings. */
export class GuestWatch {
  readonly #options: GuestWatchOptions;
  #view: View | null = null;
  #hello: AgentHello | null = null;
  /** Events that hello announced and that have not come; 0: the guest's state speaks for itself. */
  #announced = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastWord: NodeJS.Timeout | undefined;

  constructor(options: GuestWatchOptions) {
    this.#options = options;
  }

  get view(): View | null {
    return this.#view;
  }

  /** An agent has attached. */
  begin(hello: AgentHello): void {
    const { watch, tuning } = this.#options;
    this.#hello = hello;
    const former = this.#view;
    if (former !== null) this.#otherProcess(former, hello.guest);
    const known = former === null ? null : this.#ownBoot(former, hello.guest);
    const { view, continuous } = meet(known, hello.guest, watch.lastSeen());
    this.#view = view;
    this.#sight(view, continuous);
    clearTimeout(this.#timer);
    this.#announced = hello.unacknowledged;
    if (this.#announced > 0) {
      this.#timer = setTimeout(() => {
        this.#announced = 0;
        this.#reconcile();
      }, tuning.reconcileMs);
    } else this.#reconcile();
  }

  /** The agent says how the guest is. */
  follow(guest: Guest): void {
    const former = this.#view;
    if (former === null) return;
    this.#otherProcess(former, guest);
    const { view, booted } = follow(this.#ownBoot(former, guest), guest);
    this.#view = view;
    if (booted) this.#sight(view, false);
    this.#reconcile();
  }

  /** The agent tells of an event. */
  event(event: AgentEvent, onSettled: (refused: Fault | null) => void): void {
    if (event.refused === null) this.#tell(event, onSettled);
    else onSettled(event.refused);
    if (this.#announced === 0) return;
    this.#announced -= 1;
    if (this.#announced === 0) this.#reconcile();
  }

  /** No agent is left to say any more. */
  silent(): void {
    const { steps } = this.#options;
    clearTimeout(this.#lastWord);
    if (this.#view?.state === 'exited' && steps.open?.verb === 'powerOff') steps.saw(POWERED_OFF);
  }

  end(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#lastWord);
  }

  #tell(event: Taken, onSettled: (refused: Fault | null) => void): void {
    if (this.#view !== null && event.bootId === this.#view.bootId) {
      if (event.boots > this.#view.boots) this.follow({ ...this.#view, boots: event.boots });
    }
    const view = this.#view;
    if (view === null) return;
    const { vm, watch } = this.#options;
    const { boots, earlier } = placeOf(view, event);
    if (!earlier) this.#view = afterEvent(view, event);
    watch.onSighting({
      kind: 'event',
      report: {
        vm: vm.id,
        uid: vm.uid,
        event: event.event,
        origin: event.origin,
        initiator: event.initiator,
        bootId: event.bootId,
        key: {
          kind: 'sequence',
          source: 'agent',
          // Two VMs' agents may well call themselves alike.
          instance: `${vm.id}:${this.#hello?.instance ?? ''}`,
          sequence: event.sequence,
        },
        occurredAtMs: event.occurredAtMs,
        reconciled: false,
      },
      boots,
      state: event.state,
      earlier,
      onSettled,
    });
    this.#exitSeen();
  }

  /** A boot that a step of ours leads to needs no other explanation. */
  #ownBoot(view: View, guest: Guest): View {
    return this.#options.steps.open?.verb === 'restart' && guest.bootId === view.bootId
      ? explain(view, guest.boots)
      : view;
  }

  /** A VMM process that another one has taken the place of is gone, and so is what was to be done to it. */
  #otherProcess(former: View, { bootId }: Guest): void {
    if (former.bootId === bootId) return;
    if (former.state !== 'exited' || !former.stopTold) {
      this.#report({ type: 'VMM_EXITED', initiator: 'unknown' }, { ...former, state: 'exited' });
    }
    if (this.#options.steps.open !== null) this.#options.steps.saw(OTHER_PROCESS);
  }

  /** A stopped guest that no event explains gets one, marked as found. */
  #reconcile(): void {
    const view = this.#view;
    if (view === null) return;
    const told = this.#announced > 0 ? null : unexplained(view);
    if (told !== null) {
      this.#view = { ...view, stopTold: true };
      const own = this.#options.steps.open !== null;
      this.#report(own ? { ...told, initiator: 'vmwarden' } : told, view);
    }
    this.#exitSeen();
  }

  #report({ type, initiator }: Told, view: View): void {
    const { vm, watch } = this.#options;
    watch.onSighting({
      kind: 'event',
      report: {
        vm: vm.id,
        uid: vm.uid,
        event: vmmEvent(type, { reason: view.raw }),
        origin: 'agent',
        initiator,
        bootId: view.bootId,
        key: null,
        occurredAtMs: null,
        reconciled: true,
      },
      boots: view.seenBoots,
      state: view.state,
    });
  }

  #exitSeen(): void {
    const { steps, tuning } = this.#options;
    const { open } = steps;
    if (this.#view?.state !== 'exited' || open === null) return;
    if (open.verb !== 'powerOff') {
      steps.saw(GONE);
      return;
    }
    // The agent may have more to say of it.
    clearTimeout(this.#lastWord);
    const leftMs = Math.max(0, open.endsAtMs - performance.now());
    this.#lastWord = setTimeout(() => this.silent(), Math.min(tuning.lastWordMs, leftMs / 2));
  }

  #sight(view: View, continuous: boolean): void {
    const { watch } = this.#options;
    const wanted = watch.takeOver();
    watch.onSighting({
      kind: 'connected',
      inspection: inspectionOf(view),
      continuous,
      startedToWait: this.#hello?.waits ?? null,
      warnings:
        wanted !== null && this.#hello?.takeOver === false
          ? ['Its agent can not take over: the VMM does what it was started with.']
          : [],
    });
  }
}

const OTHER_PROCESS: AgentOutcome = {
  kind: 'unverified',
  reason: 'OTHER_PROCESS',
  message: 'the VMM process is another one than when it was asked for',
  proof: [],
};

const GONE: AgentOutcome = {
  kind: 'failed',
  reason: 'VMM_GONE',
  message: 'the VMM process ended meanwhile',
  proof: [],
};

const POWERED_OFF: AgentOutcome = {
  kind: 'applied',
  proof: ['the agent told that the VMM process is gone'],
};
