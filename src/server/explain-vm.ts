import type { VmView } from '../engine/engine.js';
import type { Hold } from '../engine/operators.js';
import type { ExplainVmResponse, Hold as WireHold } from '../gen/vmwarden/v1/vm_service.js';
import { Fault } from '../lib/fault.js';
import { vmToProto } from './convert.js';
import type { Readable } from './page-records.js';
import { nextAttemptMs, type Present, vmAnswer } from './vm-answer.js';
import { readVmStory } from './vm-story.js';

/** What only a running vmwarden knows, or the journal's rows. */
export interface Knowledge {
  readonly view: VmView;
  readonly outlook: (budget: string) => Present['outlook'];
  readonly hostHold: Hold | null;
  readonly nowMs: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Faults: INCIDENT_UNKNOWN (NOT_FOUND). */
export const explainVm = async (
  journal: Readable,
  { view, outlook, hostHold, nowMs, labels }: Knowledge,
  incidentId: string,
): Promise<ExplainVmResponse> => {
  const story = await readVmStory(journal, view.id, incidentId);
  if (story === null && incidentId !== '') {
    const text = `the journal tells of no incident ${incidentId} on VM ${view.id}`;
    throw new Fault('NOT_FOUND', 'INCIDENT_UNKNOWN', text, { metadata: { vm: view.id } });
  }
  const body = story?.decision?.record?.body;
  const budget = body?.$case === 'decision' ? (body.value.budget?.name ?? '') : '';
  const present = { view, outlook: budget === '' ? null : outlook(budget), hostHold, nowMs };
  const next = nextAttemptMs(present);
  return {
    vm: vmToProto(view, labels),
    answer: vmAnswer(story, present),
    explanation: {
      incidentId: story?.incident ?? '',
      event: story?.event ?? undefined,
      decision: story?.decision ?? undefined,
      operators: [...(story?.operators ?? [])],
      steps: [...(story?.steps ?? [])],
      nextAttempt: next === null ? undefined : new Date(next),
      vmHold: holdToProto(view.hold),
      hostHold: holdToProto(hostHold),
    },
  };
};

export const holdToProto = (hold: Hold | null): WireHold | undefined =>
  hold === null
    ? undefined
    : { heldAt: new Date(hold.atMs), actor: hold.actor, reason: hold.reason };
