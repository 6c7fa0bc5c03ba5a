import type { Initiator, Origin, ReportKey } from '../event/report.js';
import type { ReportKey as WireReportKey } from '../gen/vmwarden/v1/record.js';
import {
  Initiator as WireInitiator,
  Origin as WireOrigin,
} from '../gen/vmwarden/v1/system_event.js';

export const ORIGIN_TO_PROTO: Readonly<Record<Origin, WireOrigin>> = {
  kernel: WireOrigin.KERNEL,
  qmp: WireOrigin.QMP,
  'cloud-hypervisor': WireOrigin.CLOUD_HYPERVISOR,
  firecracker: WireOrigin.FIRECRACKER,
  agent: WireOrigin.AGENT,
};

export const INITIATOR_TO_PROTO: Readonly<Record<Initiator, WireInitiator>> = {
  guest: WireInitiator.GUEST,
  host: WireInitiator.HOST,
  operator: WireInitiator.OPERATOR,
  vmwarden: WireInitiator.VMWARDEN,
  unknown: WireInitiator.UNKNOWN,
};

/** undefined: a number this version does not know. A reporter that does not say is `unknown`. */
export const initiatorFromProto = (initiator: WireInitiator): Initiator | undefined =>
  INITIATORS.get(initiator);

const INITIATORS: ReadonlyMap<number, Initiator> = new Map([
  [WireInitiator.UNSPECIFIED, 'unknown'],
  [WireInitiator.GUEST, 'guest'],
  [WireInitiator.HOST, 'host'],
  [WireInitiator.OPERATOR, 'operator'],
  [WireInitiator.VMWARDEN, 'vmwarden'],
  [WireInitiator.UNKNOWN, 'unknown'],
]);

export const reportKeyToProto = (key: ReportKey): WireReportKey => {
  switch (key.kind) {
    case 'request':
      return { key: { $case: 'requestId', value: key.requestId } };
    case 'sequence': {
      const { source, instance, sequence } = key;
      return { key: { $case: 'sourceSequence', value: { source, instance, sequence } } };
    }
  }
};

/** null: the report had no key. */
export const reportKeyFromProto = (message: WireReportKey | undefined): ReportKey | null => {
  const key = message?.key;
  if (key === undefined) return null;
  return key.$case === 'requestId'
    ? { kind: 'request', requestId: key.value }
    : { kind: 'sequence', ...key.value };
};
