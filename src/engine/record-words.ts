import type { Initiator, Origin } from '../event/report.js';
import {
  Contact,
  Phase,
  PolicyMode,
  StepState,
  Disposition as WireDisposition,
} from '../gen/vmwarden/v1/record.js';
import {
  Initiator as WireInitiator,
  Origin as WireOrigin,
} from '../gen/vmwarden/v1/system_event.js';
import type { Policy } from '../policy/policy.js';
import type { Outcome } from '../vmm/driver.js';
import type { Disposition, VmView } from './engine.js';

/** Our words as records have them. */

type Table<Key extends string, Value> = Readonly<{ [K in Key]: Value }>;

export const ORIGIN: Table<Origin, WireOrigin> = {
  kernel: WireOrigin.KERNEL,
  qmp: WireOrigin.QMP,
  'cloud-hypervisor': WireOrigin.CLOUD_HYPERVISOR,
  firecracker: WireOrigin.FIRECRACKER,
  agent: WireOrigin.AGENT,
};

export const INITIATOR: Table<Initiator, WireInitiator> = {
  guest: WireInitiator.GUEST,
  host: WireInitiator.HOST,
  operator: WireInitiator.OPERATOR,
  vmwarden: WireInitiator.VMWARDEN,
  unknown: WireInitiator.UNKNOWN,
};

export const DISPOSITION: Table<Disposition, WireDisposition> = {
  decided: WireDisposition.DECIDED,
  joined: WireDisposition.JOINED,
  burst: WireDisposition.BURST,
  olderBoot: WireDisposition.OLDER_BOOT,
};

export const MODE: Table<Policy['mode'], PolicyMode> = {
  observe: PolicyMode.OBSERVE,
  enforce: PolicyMode.ENFORCE,
};

export const OUTCOME: Table<Outcome['kind'], StepState> = {
  applied: StepState.APPLIED,
  already: StepState.ALREADY,
  unsupported: StepState.UNSUPPORTED,
  failed: StepState.FAILED,
  unverified: StepState.UNVERIFIED,
  cancelled: StepState.CANCELLED,
};

export const CONTACT: Table<VmView['contact'], Contact> = {
  connected: Contact.CONNECTED,
  lost: Contact.LOST,
  none: Contact.NONE,
};

export const PHASE: Table<VmView['phase'], Phase> = {
  well: Phase.WELL,
  waiting: Phase.WAITING,
  acting: Phase.ACTING,
  held: Phase.HELD,
  down: Phase.DOWN,
};
