import type { Initiator, Origin } from '../event/report.js';
import type { Capability, SystemEvent } from '../event/system-event.js';
import type { Fault } from '../lib/fault.js';
import type { GuestState, Progress, TakeOver, Verb } from './driver.js';

/**
 * Where agents of VMs come in: the server brings a stream and what was read from it, checked field by field; the driver
 * of the VM takes it from there. agent_service.proto says what each word means.
 */
export interface AgentDesk {
  /** VMs that take an agent. */
  readonly size: number;

  /**
   * Takes an agent in. The first thing that it sends on `link` is the welcome. Throws a Fault: VM_UNKNOWN (NOT_FOUND),
   * NOT_AGENT_DRIVEN, UID_MISMATCH, VERSION_UNSUPPORTED (FAILED_PRECONDITION), AGENT_ATTACHED (ALREADY_EXISTS),
   * STOPPING (UNAVAILABLE).
   */
  attach(hello: AgentHello, link: AgentLink): Attachment;

  /** Undoes what agents have taken over, before their streams end; bounded by the signal, never rejects. */
  release(signal: AbortSignal): Promise<void>;
}

/** The way to an attached agent. */
export interface AgentLink {
  /** Queues it, in order; an agent that does not read loses its stream, not vmwarden its memory. */
  send(message: ToAgent): void;
  /** Ends the stream with this status, once. */
  end(fault: Fault): void;
}

export interface Attachment {
  /**
   * Takes what the agent said. Resolves when more may be read: events wait here while too many are not yet durable. Throws a
   * Fault that ends the stream: EVENT_GAP (FAILED_PRECONDITION).
   */
  take(message: FromAgent): Promise<void>;
  /** The stream has ended, for this reason. Idempotent. */
  gone(reason: string): void;
}

/** Verbs that an agent can be asked for. */
export type AgentVerb = Exclude<Verb, 'restartProcess'>;

export interface AgentHello {
  readonly vm: string;
  /** Empty: not stated. */
  readonly uid: string;
  readonly instance: string;
  /** `name version`, for logs. */
  readonly agent: string;
  readonly versions: readonly number[];
  readonly verbs: ReadonlySet<AgentVerb>;
  readonly guest: Guest;
  readonly unacknowledged: number;
  readonly takeOver: boolean;
  /** null: it can't tell. */
  readonly waits: TakeOver | null;
  /** Stands in events that leave them out. */
  readonly arch: string;
  readonly capability: Capability;
}

/** How the agent says the guest is. */
export interface Guest {
  readonly state: GuestState;
  /** The VMM's own word. */
  readonly raw: string;
  readonly bootId: string;
  /** In that process, as the agent counts. */
  readonly boots: number;
}

/** One event; or its number, and why it can't be taken. */
export type AgentEvent =
  | { readonly sequence: bigint; readonly refused: Fault }
  | {
      readonly sequence: bigint;
      readonly refused: null;
      readonly event: SystemEvent;
      readonly origin: Origin;
      readonly initiator: Initiator;
      readonly bootId: string;
      readonly boots: number;
      readonly state: GuestState | null;
      readonly occurredAtMs: number | null;
    };

export type AgentOutcome =
  | { readonly kind: 'applied' | 'already'; readonly proof: readonly string[] }
  | {
      readonly kind: 'unsupported' | 'failed' | 'unverified' | 'cancelled';
      readonly reason: string;
      readonly message: string;
      readonly proof: readonly string[];
    };

export type FromAgent =
  | { readonly kind: 'events'; readonly events: readonly AgentEvent[] }
  /** `inspectId` 0: told unasked. */
  | { readonly kind: 'guest'; readonly guest: Guest; readonly inspectId: number }
  | { readonly kind: 'progress'; readonly stepId: string; readonly progress: Progress }
  | { readonly kind: 'outcome'; readonly stepId: string; readonly outcome: AgentOutcome }
  /** `problem` empty: done. */
  | { readonly kind: 'tookOver'; readonly revision: number; readonly problem: string };

export type Verdict = 'taken' | 'repeated' | 'conflicting' | 'late' | 'unknownStep';

export interface Refusal {
  readonly sequence: bigint;
  readonly fault: Fault;
}

export interface AgentStep {
  readonly id: string;
  readonly verb: AgentVerb;
  readonly timeoutMs: number;
  /** Empty: no dump. */
  readonly dumpPath: string;
  readonly bootId: string;
  readonly boots: number;
}

export type ToAgent =
  | {
      readonly kind: 'welcome';
      readonly version: number;
      readonly acknowledgedThrough: bigint;
      readonly maxUnacknowledged: number;
    }
  | { readonly kind: 'eventsAck'; readonly through: bigint; readonly refused: readonly Refusal[] }
  | { readonly kind: 'step'; readonly step: AgentStep }
  | { readonly kind: 'cancelStep'; readonly stepId: string; readonly reason: string }
  | { readonly kind: 'outcomeAck'; readonly stepId: string; readonly verdict: Verdict }
  | { readonly kind: 'inspect'; readonly inspectId: number }
  | { readonly kind: 'takeOver'; readonly revision: number; readonly waits: TakeOver };

/** Events in one message at most. */
export const MAX_EVENTS = 64;
