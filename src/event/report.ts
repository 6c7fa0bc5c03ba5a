import type { SystemEvent } from './system-event.js';

/** Which source saw the event. */
export const ORIGINS = ['kernel', 'qmp', 'cloud-hypervisor', 'firecracker', 'agent'] as const;
export type Origin = (typeof ORIGINS)[number];

/** Who caused the event. */
export const INITIATORS = ['guest', 'host', 'operator', 'vmwarden', 'unknown'] as const;
export type Initiator = (typeof INITIATORS)[number];

/** What the reporter says alone; a repeat is known by it. */
export type ReportKey =
  | { readonly kind: 'request'; readonly requestId: string }
  | {
      readonly kind: 'sequence';
      readonly source: string;
      readonly instance: string;
      readonly sequence: bigint;
    };

/** One normalized event on its way in, from a gRPC reporter or a driver. */
export interface EventReport {
  readonly vm: string;
  /** Empty: not stated. */
  readonly uid: string;
  readonly event: SystemEvent;
  readonly origin: Origin;
  readonly initiator: Initiator;
  /** What the source calls the boot; null: not stated (BOOT_UNSTATED). */
  readonly bootId: string | null;
  /** null: two equal reports are two events. */
  readonly key: ReportKey | null;
  /** When the source saw it, milliseconds since the epoch; null: it did not say, so now. */
  readonly occurredAtMs: number | null;
  /** Found by inspection on connect: a state that the driver sees now. */
  readonly reconciled: boolean;
}
