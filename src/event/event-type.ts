/**
 * The words for what happened to a guest. The first seven are the kernel's (KVM_SYSTEM_EVENT_*),
 * `UNKNOWN` is a raw type that nothing here has a name for, the rest is what VMMs export themselves.
 */
export const EVENT_TYPES = [
  'SHUTDOWN',
  'RESET',
  'CRASH',
  'WAKEUP',
  'SUSPEND',
  'SEV_TERM',
  'TDX_FATAL',
  'UNKNOWN',
  'CRASH_LOADED',
  'WATCHDOG',
  'VMM_ERROR',
  'VMM_EXITED',
] as const;

export type EventType = (typeof EVENT_TYPES)[number];
