import type { SequencedRecord } from '../gen/vmwarden/v1/record.js';
import { Record, StepState } from '../gen/vmwarden/v1/record.js';
import type { StoredRecord } from '../journal/journal.js';
import { pageBackward, pageForward, type Readable } from './page-records.js';
import { peekRecord } from './record-peek.js';

/** The records that say what was last done, or not done, about a VM. */
export interface VmStory {
  /** Empty: nothing was to be done. */
  readonly incident: string;
  readonly event: SequencedRecord | null;
  readonly decision: SequencedRecord | null;
  /** Operators' acts that opened or ended the incident. */
  readonly operators: readonly SequencedRecord[];
  /** Without progress. */
  readonly steps: readonly SequencedRecord[];
}

/** So far back a decision or an act is sought, and so much of an incident is told. */
const MAX_BACK = 400;
const MAX_TOLD = 400;

/** `incident` other than empty: of that one. null: the journal tells of none. */
export const readVmStory = async (
  journal: Readable,
  vm: string,
  incident: string,
): Promise<VmStory | null> => {
  const { newest } = journal.status();
  const told = (bytes: Uint8Array): boolean => {
    const { vm: of, kind, incident: its } = peekRecord(bytes);
    return (
      of === vm &&
      (kind === 'decision' || (kind === 'operator' && its !== '')) &&
      (incident === '' || its === incident)
    );
  };
  const { records } = await pageBackward(
    journal,
    { onlyVm: vm, wants: told },
    MAX_BACK,
    newest + 1,
  );
  const latest = records.map(decoded);
  const found = latest.find(({ record }) => matters(record)) ?? latest[0];
  if (found === undefined) return null;
  const id = found.record.incidentId;
  const first = records.findLast(({ bytes }) => id !== '' && peekRecord(bytes).incident === id);
  const after = id === '' || first === undefined ? null : first.sequence - 1;
  const all = after === null ? [found] : await ofIncident(journal, vm, id, after);
  const decision = all.find(({ record }) => record.body?.$case === 'decision') ?? null;
  return {
    incident: id,
    event: decision === null ? null : await eventOf(journal, decision.record),
    decision,
    operators: all.filter(({ record }) => record.body?.$case === 'operator'),
    steps: all.filter(
      ({ record }) =>
        record.body?.$case === 'step' && record.body.value.state !== StepState.PROGRESS,
    ),
  };
};

/** An event that nobody wanted anything done about is told of only when there is nothing else. */
const matters = ({ body, incidentId }: Record): boolean =>
  incidentId !== '' ||
  (body?.$case === 'decision' && (body.value.rule !== '' || body.value.plan.length > 0));

interface Decoded {
  readonly sequence: bigint;
  readonly record: Record;
}

const ofIncident = async (
  journal: Readable,
  vm: string,
  incident: string,
  after: number,
): Promise<readonly Decoded[]> => {
  const wants = (bytes: Uint8Array): boolean => peekRecord(bytes).incident === incident;
  const { records } = await pageForward(journal, { onlyVm: vm, wants }, MAX_TOLD, after);
  return records.map(decoded);
};

const eventOf = async (journal: Readable, { body }: Record): Promise<SequencedRecord | null> => {
  const sequence = body?.$case === 'decision' ? Number(body.value.eventSequence) : 0;
  const { oldest, newest } = journal.status();
  if (sequence < Math.max(1, oldest) || sequence > newest) return null;
  const { records } = await journal.read({ after: sequence - 1, limit: 1 });
  const [event] = records;
  return event === undefined ? null : decoded(event);
};

const decoded = ({ sequence, bytes }: StoredRecord): Decoded => ({
  sequence: BigInt(sequence),
  record: Record.decode(bytes),
});
