import type { Engine, Receipt, VmView } from '../../src/engine/engine.js';
import type { Asked, Operators } from '../../src/engine/operators.js';
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
  const vm = (id: string): VmView => {
    const view = held.get(id);
    if (view !== undefined) return view;
    throw new Fault('NOT_FOUND', 'VM_UNKNOWN', `No VM ${id} is known`, { metadata: { vm: id } });
  };
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
    vm,
    outlook: () => null,
    nowMs: () => 0,
    operators: fakeOperators(vm, (id) =>
      held.set(id, { ...vm(id), phase: 'well', reason: '', hold: null }),
    ),
  };
};

/** Takes whatever is asked for of a VM that it knows. */
const fakeOperators = (vm: (id: string) => VmView, release: (id: string) => unknown): Operators => {
  const taken = async (id?: string): Promise<Asked> => {
    if (id !== undefined) vm(id);
    return { sequence: 1, incident: 'i-1', detail: '', repeat: false };
  };
  return {
    act: (id) => taken(id),
    cancel: (id) => taken(id),
    hold: (id) => taken(id),
    release: async (id) => {
      release(id);
      return taken(id);
    },
    resetBudget: (id) => taken(id),
    hostHold: () => null,
    holdHost: () => taken(),
    releaseHost: () => taken(),
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
  hold: null,
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
