import type { Disposition, Receipt, VmView } from '../engine/engine.js';
import { vmUpdate } from '../engine/records.js';
import type { ReportEventResponse } from '../gen/vmwarden/v1/event_service.js';
import { Disposition as WireDisposition } from '../gen/vmwarden/v1/record.js';
import type { Vm } from '../gen/vmwarden/v1/vm_service.js';
import { systemEventToProto } from '../record/system-event-codec.js';

const DISPOSITION: Readonly<Record<Disposition, WireDisposition>> = {
  decided: WireDisposition.DECIDED,
  joined: WireDisposition.JOINED,
  burst: WireDisposition.BURST,
  olderBoot: WireDisposition.OLDER_BOOT,
};

export const receiptToProto = (journalId: string, receipt: Receipt): ReportEventResponse => ({
  journalId,
  sequence: BigInt(receipt.sequence),
  event: systemEventToProto(receipt.event),
  disposition: DISPOSITION[receipt.disposition],
  repeat: receipt.repeat,
});

export const vmToProto = (view: VmView, labels: Readonly<Record<string, string>> = {}): Vm => ({
  id: view.id,
  state: vmUpdate(view),
  incidentId: view.incident,
  budgets: view.budgets.map(({ name, used, limit }) => ({
    name,
    used,
    limit: limit.attempts,
    withinMs: BigInt(Math.round(limit.withinMs)),
  })),
  nextAttempt: view.nextAttemptMs === null ? undefined : new Date(view.nextAttemptMs),
  warnings: [...view.warnings],
  labels: { ...labels },
});
