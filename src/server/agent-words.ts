import {
  AgentGuestState,
  AgentOutcomeVerdict,
  AgentVerb,
} from '../gen/vmwarden/v1/agent_service.js';
import type { AgentVerb as AgentVerbName, Verdict } from '../vmm/attach.js';
import type { GuestState } from '../vmm/driver.js';

export const GUEST_STATES: ReadonlyMap<AgentGuestState, GuestState> = new Map([
  [AgentGuestState.RUNNING, 'running'],
  [AgentGuestState.PAUSED, 'paused'],
  [AgentGuestState.PANICKED, 'panicked'],
  [AgentGuestState.SHUTDOWN, 'shutdown'],
  [AgentGuestState.SUSPENDED, 'suspended'],
  [AgentGuestState.WATCHDOG, 'watchdog'],
  [AgentGuestState.ERROR, 'error'],
  [AgentGuestState.PRELAUNCH, 'prelaunch'],
  [AgentGuestState.MIGRATING, 'migrating'],
  [AgentGuestState.EXITED, 'exited'],
  [AgentGuestState.UNKNOWN, 'unknown'],
]);

export const VERBS: ReadonlyMap<AgentVerb, AgentVerbName> = new Map([
  [AgentVerb.RESTART, 'restart'],
  [AgentVerb.DUMP, 'dump'],
  [AgentVerb.POWER_OFF, 'powerOff'],
  [AgentVerb.PAUSE, 'pause'],
  [AgentVerb.RESUME, 'resume'],
  [AgentVerb.NMI, 'nmi'],
]);

/** What an agent can be asked for; it is never asked to start its VMM anew. */
export const WIRE_VERBS: Readonly<Record<AgentVerbName, AgentVerb>> = {
  restart: AgentVerb.RESTART,
  dump: AgentVerb.DUMP,
  powerOff: AgentVerb.POWER_OFF,
  pause: AgentVerb.PAUSE,
  resume: AgentVerb.RESUME,
  nmi: AgentVerb.NMI,
};

export const WIRE_VERDICTS: Readonly<Record<Verdict, AgentOutcomeVerdict>> = {
  taken: AgentOutcomeVerdict.TAKEN,
  repeated: AgentOutcomeVerdict.REPEATED,
  conflicting: AgentOutcomeVerdict.CONFLICTING,
  late: AgentOutcomeVerdict.LATE,
  unknownStep: AgentOutcomeVerdict.UNKNOWN_STEP,
};
