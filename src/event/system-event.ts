import type { Anomaly } from './anomaly.js';
import type { EventType } from './event-type.js';

/** KVM_CHECK_EXTENSION(215) on the kernel that wrote the event, as the reporter stated it. */
export type Capability = 'present' | 'absent' | 'notStated';

/**
 * The normalized form of an event: what the kernel or the VMM said, and nothing that it did not say.
 * Legacy `flags` are `data[0]` here, when they can be believed; words past `ndata` never appear anywhere.
 */
export interface SystemEvent {
  readonly type: EventType;
  /** The kernel's number; null where a VMM spoke, not the kernel. */
  readonly rawType: number | null;
  /** 64-bit words: the first `ndata`, or the one of a legacy record, and no others. */
  readonly data: readonly bigint[];
  readonly detail: EventDetail;
  readonly anomalies: readonly Anomaly[];
  readonly capability: Capability;
  /** The table's spelling of what was stated (arch.ts), else the name itself, escaped and bounded. Empty: not stated, or a VMM spoke. */
  readonly arch: string;
}

export type EventDetail =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'psci';
      readonly call:
        | 'SYSTEM_OFF'
        | 'SYSTEM_OFF2'
        | 'SYSTEM_RESET'
        | 'SYSTEM_RESET2'
        | 'SYSTEM_SUSPEND';
      readonly hibernate: boolean;
      /** Of the flags of SHUTDOWN and RESET; 0n: none. */
      readonly unknownBits: bigint;
    }
  | {
      readonly kind: 'sbiReset';
      readonly reason:
        | 'NO_REASON'
        | 'SYSTEM_FAILURE'
        | 'RESERVED'
        | 'SBI_IMPLEMENTATION_SPECIFIC'
        | 'VENDOR_OR_PLATFORM_SPECIFIC'
        | 'INVALID';
      readonly value: bigint;
    }
  | { readonly kind: 'hyperv'; readonly origin: 'HYPERV_CRASH_MSR' | 'HYPERV_RESET_MSR' }
  | {
      readonly kind: 'ghcbTermination';
      readonly reasonSet: number;
      readonly reasonCode: number;
      /** null: a code that has no name. */
      readonly name: string | null;
      readonly unknownBits: bigint;
    }
  | { readonly kind: 'ghcbNaeTermination'; readonly ghcbGpa: bigint }
  /** `info`: the low 12 bits of the GHCB MSR. */
  | { readonly kind: 'ghcbIllegalRequest'; readonly info: number }
  | {
      readonly kind: 'tdx';
      readonly layout: 'GPR16' | 'TDX3' | 'GHCI10' | 'GHCI_PACKED';
      readonly errorCode: number;
      /** 0: not set. */
      readonly extendedCode: number;
      readonly panic: boolean;
      /** The guest-physical address it points to; null: it says that there is none. Never to be trusted. */
      readonly gpa: bigint | null;
      /** Only in GPR16. */
      readonly regMask: bigint | null;
      /** At most 64 bytes of the guest's, made safe. null: the guest said nothing; undefined: the layout carries none. */
      readonly message: string | null | undefined;
    }
  | { readonly kind: 'unknown'; readonly rawType: number; readonly dialect: 'KVM_NEXT_2022' | null }
  | {
      /** A VMM consumed the event and told this much of it. */
      readonly kind: 'vmm';
      /** The VMM's own word: guest-panic, guest-shutdown, internal-error, ... */
      readonly reason: string;
      /** What the VMM did about it by itself: pause, poweroff, reset, run, ... Empty: it did not say. */
      readonly action: string;
      /** Words that the guest left (Hyper-V crash parameters). */
      readonly arguments: readonly bigint[];
      /** Made safe. */
      readonly text: string;
    };
