import type { EventReport } from '../event/report.js';
import type { Fault } from '../lib/fault.js';

/**
 * How one VM's VMM is watched and acted on.
 *
 * - `start` connects and stays connected, with a bounded back-off, until the signal aborts. Sightings come in the
 *   order in which the VMM told them.
 * - Every verb inspects first and proves its effect after, before it says `applied`. A guest that runs and has booted
 *   since the cause is `already`; a migrating one is `unsupported` (MIGRATING).
 * - A verb resolves with an outcome, also on failure, at the latest at its deadline; it never rejects. One act at a time: the
 *   caller sees to it, and a second is refused as `failed` (BUSY).
 * - Losing contact is no event of the guest: it is told as `disconnected`. Only evidence that the process is gone
 *   (its socket refuses, or has vanished and the process can't be shown to live) is VMM_EXITED.
 */
export interface Driver {
  readonly kind: string;

  capabilities(): Capabilities;

  /** Watches until `signal` aborts; resolves when everything it held is closed. */
  start(watch: Watch): Promise<void>;

  /** Asks the VMM now. Rejects with a Fault (UNAVAILABLE, DEADLINE_EXCEEDED). */
  inspect(signal: AbortSignal): Promise<Inspection>;

  /** In place: the VMM process stays, and resets its guest. */
  restart(act: Act): Promise<Outcome>;
  /**
   * Ends the VMM process, if it has not ended, and starts a new one as the operator said. The new process is another boot,
   * told as a connect; a driver that knows no way to start one is `unsupported` (NO_START_COMMAND).
   */
  restartProcess(act: Act): Promise<Outcome>;
  dump(act: Act & DumpTarget): Promise<Outcome>;
  powerOff(act: Act): Promise<Outcome>;
  pause(act: Act): Promise<Outcome>;
  resume(act: Act): Promise<Outcome>;
  /** `applied`: the VMM took it. What the guest makes of an NMI (a crash, a dump of its own) comes as an event. */
  nmi(act: Act): Promise<Outcome>;

  /** Called when the answer to `Watch.takeOver` may have changed. Resolves when the VMM has been told. */
  refresh(): Promise<void>;

  /** Puts back what take-over changed (`release` in the config), on graceful stop. Bounded by the signal. */
  release(signal: AbortSignal): Promise<void>;
}

export interface Watch {
  readonly signal: AbortSignal;
  /** Called in order, must not throw. */
  readonly onSighting: (sighting: Sighting) => void;
  /** What is known of this VM from before; asked at each connect. null: nothing. */
  readonly lastSeen: () => LastSeen | null;
  /** What the VMM should leave to vmwarden; null: nothing (no take-over). Asked at each connect and refresh. */
  readonly takeOver: () => TakeOver | null;
}

/** How a VM looked when vmwarden last knew, maybe in an earlier life of its own. */
export interface LastSeen {
  readonly bootId: string;
  readonly state: GuestState;
}

/** What the VMM shall do with a guest that panics, powers off, or trips its watchdog: wait for vmwarden. */
export interface TakeOver {
  readonly panic: boolean;
  readonly shutdown: boolean;
  readonly watchdog: boolean;
}

export type Sighting =
  | {
      readonly kind: 'connected';
      readonly inspection: Inspection;
      /** The guest can be shown not to have booted since `lastSeen`. */
      readonly continuous: boolean;
      /** For which events the VMM was started to let the guest wait; null: can't be found out. */
      readonly startedToWait: TakeOver | null;
      /** What the operator should know of this VMM: one sentence each. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'disconnected'; readonly reason: string }
  | {
      readonly kind: 'event';
      readonly report: EventReport;
      /** Boots this driver had seen when the event came; goes back to it in `Act.cause`. */
      readonly boots: number;
      /** The guest's state after it, where the event tells. */
      readonly state: GuestState | null;
      /** Of an earlier boot than the guest's present one: recorded, never acted on. Default false. */
      readonly earlier?: boolean;
      /**
       * For a source that may tell a thing twice: what its report's key is known for already is not taken again. Called
       * once: with null when the event is durable, with a Fault when it never will be. Must not throw.
       */
      readonly onSettled?: (refused: Fault | null) => void;
    };

/** A guest's state in words that all VMMs share. */
export type GuestState =
  | 'running'
  | 'paused'
  | 'panicked'
  | 'shutdown'
  | 'suspended'
  | 'watchdog'
  | 'error'
  /** Not started yet, or reset and not continued. */
  | 'prelaunch'
  /** Coming, going, saved or restored: not ours to touch. */
  | 'migrating'
  /** The process is gone. */
  | 'exited'
  | 'unknown';

export interface Inspection {
  readonly state: GuestState;
  /** The VMM's own word for it. */
  readonly raw: string;
  /** What this source calls the boot. QEMU: the process; resets are told as events. */
  readonly bootId: string;
  /** Boots (connects of new processes, resets) seen by this driver since it was made. */
  readonly boots: number;
}

/** What each verb can do here. A reason (stable word: sentence) where it can't. */
export interface Capabilities {
  readonly verbs: Readonly<Record<Verb, Ability>>;
  readonly takeOver: boolean;
}

export type Verb = 'restart' | 'restartProcess' | 'dump' | 'powerOff' | 'pause' | 'resume' | 'nmi';
export type Ability = { readonly able: true } | { readonly able: false; readonly reason: string };

export interface Act {
  /** The same when an act of an earlier life is taken up again, another one for a retry; at most 512 bytes. */
  readonly id: string;
  readonly signal: AbortSignal;
  /** Milliseconds from now; the verb has resolved by then. */
  readonly timeoutMs: number;
  readonly cause: Cause;
  /** How far a dump has come. */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Called right before and after each command that changes the guest, with the command's name. For tests
   * that stop the world at a named point; the program itself passes nothing.
   */
  readonly onCommand?: (point: string) => void;
}

/** Why a verb is asked for. */
export interface Cause {
  /**
   * Boots that the driver had seen at the event; null: an act resumed from an earlier life, an operator's, or
   * another source's event. With null a guest that runs is not restarted: BOOT_UNKNOWN if `resumed`, else `cancelled`
   * (STATE_DISAGREES).
   */
  readonly boots: number | null;
  /**
   * The intent was journaled in an earlier life of vmwarden and may be half done: the same VMM process found in
   * `prelaunch` was reset by it and only waits to be continued.
   */
  readonly resumed: boolean;
}

export interface DumpTarget {
  /** Absolute, as the VMM sees it; does not exist yet. */
  readonly path: string;
}

export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export type Outcome =
  | {
      readonly kind: 'applied' | 'already';
      readonly proof: readonly string[];
      readonly state: GuestState;
    }
  | {
      readonly kind: 'unsupported' | 'failed' | 'unverified' | 'cancelled';
      /** Stable: MIGRATING, VMM_GONE, DEADLINE_EXCEEDED, BUSY, NOT_CONNECTED, ... */
      readonly reason: string;
      readonly message: string;
      readonly proof: readonly string[];
    };
