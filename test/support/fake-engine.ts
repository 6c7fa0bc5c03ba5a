import type { Engine, Receipt, VmView } from '../../src/engine/engine.js';
import type { EventReport } from '../../src/event/report.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';
import type { Journal } from '../../src/journal/journal.js';
import { Fault } from '../../src/lib/fault.js';
import { systemEventToProto } from '../../src/record/system-event-codec.js';

/** Keeps what it was told, journals each event as one record, and knows the VMs that it was given. */
export interface FakeEngine extends Engine {
  readonly reports: readonly EventReport[];
  /** Answers all further reports with this; null: as before. */
  answerWith(answer: ((report: EventReport) => Promise<Receipt>) | null): void;
}

export const createFakeEngine = (journal: Journal, vms: readonly VmView[] = []): FakeEngine => {
  const reports: EventReport[] = [];
  let other: ((report: EventReport) => Promise<Receipt>) | null = null;
  const held = new Map(vms.map((view) => [view.id, view]));
  return {
    reports,
    answerWith: (answer) => {
      other = answer;
    },
    report: async (report) => {
      reports.push(report);
      if (other !== null) return other(report);
      const { first, durable } = journal.append({
        kind: 'ingest',
        records: [{ vm: report.vm, bytes: eventBytes(report) }],
        rows: [],
      });
      await durable;
      return { sequence: first, event: report.event, disposition: 'decided', repeat: false };
    },
    vms: () => [...held.values()],
    release: async (vm) => {
      const view = held.get(vm);
      if (view === undefined) {
        throw new Fault('NOT_FOUND', 'VM_UNKNOWN', `No VM ${vm} is known`, { metadata: { vm } });
      }
      const released: VmView = { ...view, phase: 'well', reason: '' };
      held.set(vm, released);
      return released;
    },
  };
};

export const vmView = (id: string, changes: Partial<VmView> = {}): VmView => ({
  id,
  uid: '',
  driver: 'observe',
  contact: 'none',
  state: '',
  bootId: '',
  bootEpoch: 1,
  phase: 'well',
  reason: '',
  incident: '',
  budgets: [],
  nextAttemptMs: null,
  warnings: [],
  ...changes,
});

const eventBytes = ({ vm, event, bootId }: EventReport): Uint8Array =>
  Record.encode(
    Record.fromPartial({
      recordedAt: new Date(0),
      vmId: vm,
      body: {
        $case: 'event',
        value: { event: systemEventToProto(event), bootId: bootId ?? '' },
      },
    }),
  ).finish();
