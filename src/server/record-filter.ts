import { EventType } from '../gen/vmwarden/v1/system_event.js';
import type { FieldCheck } from './field-check.js';
import { quoted } from './field-check.js';
import { peekRecord, RECORD_KINDS } from './record-peek.js';

/** As requests have them; what is empty lets everything through. */
export interface FilterFields {
  readonly vmIds: readonly string[];
  readonly kinds: readonly string[];
  readonly eventTypes: readonly EventType[];
  readonly labels: Readonly<Record<string, string>>;
  readonly incidentId?: string;
}

/** VMs of the configuration, with their labels. */
export type VmLabels = ReadonlyMap<string, Readonly<Record<string, string>>>;

export interface RecordFilter {
  readonly wants: (bytes: Uint8Array) => boolean;
  /** The one VM whose history holds all that is wanted; null: there is no such VM. */
  readonly onlyVm: string | null;
}

const MAX_VMS = 256;
const MAX_LABELS = 16;
const MAX_TEXT = 253;

/** Violations go to `check`, in the names of the proto file. */
export const recordFilter = (
  fields: FilterFields,
  vmLabels: VmLabels,
  check: FieldCheck,
): RecordFilter => {
  checkFields(fields, check);
  const { kinds, eventTypes, incidentId = '' } = fields;
  const vms = vmsOf(fields, vmLabels);
  const only = vms?.size === 1 ? [...vms][0] : undefined;
  const kindSet = new Set(kinds);
  const typeSet = new Set<number>(eventTypes);
  const all = vms === null && kindSet.size === 0 && typeSet.size === 0 && incidentId === '';
  return {
    onlyVm: only === undefined || only === '' ? null : only,
    wants: (bytes) => {
      if (all) return true;
      const peek = peekRecord(bytes);
      return (
        (vms === null || vms.has(peek.vm)) &&
        (kindSet.size === 0 || kindSet.has(peek.kind)) &&
        (typeSet.size === 0 || typeSet.has(peek.eventType)) &&
        (incidentId === '' || incidentId === peek.incident)
      );
    },
  };
};

/** null: all. */
const vmsOf = ({ vmIds, labels }: FilterFields, vmLabels: VmLabels): Set<string> | null => {
  const wanted = Object.entries(labels);
  if (wanted.length === 0) return vmIds.length === 0 ? null : new Set(vmIds);
  const labelled = [...vmLabels].filter(([, has]) =>
    wanted.every(([key, value]) => Object.hasOwn(has, key) && has[key] === value),
  );
  const ids = new Set(labelled.map(([id]) => id));
  return vmIds.length === 0 ? ids : new Set(vmIds.filter((id) => ids.has(id)));
};

const checkFields = (fields: FilterFields, check: FieldCheck): void => {
  const { vmIds, kinds, eventTypes, labels, incidentId = '' } = fields;
  const known = [...RECORD_KINDS.values()];
  for (const [index, kind] of kinds.entries()) {
    if (!known.includes(kind)) {
      check.add(`kinds[${index}]`, quoted(kind), `one of ${known.join(', ')}`);
    }
  }
  if (vmIds.length > MAX_VMS) {
    const expected = `at most ${MAX_VMS}; leave it empty and filter what comes`;
    check.add('vm_ids', `${vmIds.length} ids`, expected);
  }
  for (const [index, type] of eventTypes.entries()) {
    if (type === EventType.UNSPECIFIED || EventType[type] === undefined || type < 0) {
      check.add(`event_types[${index}]`, String(type), 'a number of EventType, from 1 on');
    }
  }
  const pairs = Object.entries(labels);
  if (pairs.length > MAX_LABELS) {
    check.add('labels', `${pairs.length} labels`, `at most ${MAX_LABELS}`);
  }
  for (const [key, value] of pairs.slice(0, MAX_LABELS)) {
    check.text('labels', key, { maxBytes: MAX_TEXT, required: true });
    check.text(`labels[${quoted(key)}]`, value, { maxBytes: MAX_TEXT });
  }
  check.text('incident_id', incidentId, { maxBytes: MAX_TEXT });
};
