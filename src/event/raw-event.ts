import type { ByteOrder } from './arch.js';
import type { Capability } from './system-event.js';

/** KVM_CAP_SYSTEM_EVENT_DATA. 214 is KVM_CAP_VM_TSC_CONTROL and says nothing about ndata. */
export const SYSTEM_EVENT_DATA_CAPABILITY = 215;

/**
 * struct system_event as the kernel wrote it, with what is needed to understand it. The VMM's ABI is not: the one that
 * places a member elsewhere is i386 (legacy flags at offset 4), on x86, where no kernel writes those flags.
 */
export type RawEvent = RawContext & (RawBytes | RawFields);

export interface RawContext {
  /** As the reporter names it: `uname -m`, or the kernel tree's word. Empty: not stated. */
  readonly arch: string;
  readonly capability: Capability;
  /** The number that the reporter asked KVM_CHECK_EXTENSION for; null: not stated. */
  readonly capabilityNumber: number | null;
}

export interface RawBytes {
  readonly form: 'bytes';
  /** From byte 0 of the struct on; as long as the reporter likes. */
  readonly record: Uint8Array;
  /** The host's, when it ran the guest; null: not stated. */
  readonly byteOrder: ByteOrder | null;
}

export interface RawFields {
  readonly form: 'fields';
  readonly type: number;
  /** null: not stated; right only where the reporter's header has none (before Linux 5.18). */
  readonly ndata: number | null;
  readonly data: readonly bigint[];
  /** The legacy name of data[0]; null: not given. */
  readonly flags: bigint | null;
}
