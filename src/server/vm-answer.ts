import type { Outlook, VmView } from '../engine/engine.js';
import type { Hold } from '../engine/operators.js';
import {
  type Decision,
  type Record,
  StepState,
  type StepUpdate,
} from '../gen/vmwarden/v1/record.js';
import { EventType, Initiator } from '../gen/vmwarden/v1/system_event.js';
import { sayDuration } from '../lib/duration.js';
import type { VmStory } from './vm-story.js';

/** What is known now, beside the story. */
export interface Present {
  readonly view: VmView;
  readonly outlook: Outlook | null;
  readonly hostHold: Hold | null;
  readonly nowMs: number;
}

/** Why the VM was, or was not, acted on, in sentences. Pure. */
export const vmAnswer = (story: VmStory | null, present: Present): string => {
  const { view, hostHold, nowMs } = present;
  const held = (what: string, { actor, reason, atMs }: Hold): string =>
    `${what} is held since ${clock(atMs, nowMs)}${actor === '' ? '' : ` by ${actor}`}: ${reason}.`;
  return [
    ...(story === null
      ? ['Nothing has happened to this VM that needed an answer.']
      : told(story, present)),
    ...(hostHold === null ? [] : [held('The host', hostHold)]),
    ...(view.hold === null ? [] : [held('The VM', view.hold)]),
  ].join(' ');
};

/** When the waiting step starts, or a further attempt could; milliseconds since the epoch. */
export const nextAttemptMs = ({ view, outlook, nowMs }: Present): number | null => {
  if (view.nextAttemptMs !== null) return view.nextAttemptMs;
  if (outlook === null) return null;
  return outlook.freeAtMs ?? (outlook.delayMs > 0 ? nowMs + outlook.delayMs : null);
};

const told = (story: VmStory, present: Present): string[] => {
  const decision = bodyOf(story.decision, 'decision');
  const steps = outcomes(story);
  const main = steps.at(-1);
  const others = steps.slice(0, -1);
  const waiting = waits(story, present) ? present.view.nextAttemptMs : null;
  const by = byWhom(story, decision);
  const sentences: string[] = [];
  // An await has begun: its sentence tells until when.
  if (waiting !== null && !isUnderWay(main)) {
    const verb = waitingVerb(decision, main);
    const until =
      present.view.contact === 'lost'
        ? ' for contact with its VMM'
        : `; it starts not before ${clock(waiting, present.nowMs)}`;
    sentences.push(`${VERBS[verb]?.noun ?? verb} by ${by}${attemptText(decision)} waits${until}.`);
  }
  if (main !== undefined)
    sentences.push(stepSentence(main, by, decision, present, waiting === null));
  else if (waiting === null) sentences.push(idle(decision, by));
  sentences.push(...others.map((step) => `Before that: ${brief(step)}.`));
  sentences.push(...cause(story, present));
  sentences.push(
    ...story.operators.slice(decision === null ? 1 : 0).flatMap(operatorText(present)),
  );
  if (main === undefined) sentences.push(...(decision?.reasons ?? []));
  return sentences;
};

const isUnderWay = (main: Told | undefined): boolean => main?.step.state === StepState.STARTED;

/** What is to be done next: the plan's first step, one that is tried again, or what an await in vain leads to. */
const waitingVerb = (decision: Decision | null, main: Told | undefined): string => {
  const planned = decision?.plan[main?.step.index ?? 0];
  const inVain = main?.step.verb === 'await' ? planned?.otherwise[0]?.verb : undefined;
  return inVain ?? planned?.verb ?? main?.step.verb ?? 'step';
};

const waits = (story: VmStory, { view }: Present): boolean =>
  story.incident !== '' && view.incident === story.incident && view.nextAttemptMs !== null;

interface Told {
  readonly step: StepUpdate;
  readonly atMs: number;
}

/** The latest of each step of the plan, in order. */
const outcomes = ({ steps }: VmStory): readonly Told[] => {
  const latest = new Map<number, Told>();
  for (const { record } of steps) {
    if (record?.body?.$case !== 'step') continue;
    const step = record.body.value;
    latest.set(step.index, { step, atMs: record.recordedAt?.getTime() ?? 0 });
  }
  return [...latest.values()];
};

const VERBS: Readonly<{ [verb: string]: { readonly noun: string; readonly past: string } }> = {
  restart: { noun: 'Restart', past: 'Restarted' },
  restartProcess: { noun: 'Restart in a new process', past: 'Restarted in a new process' },
  dump: { noun: 'Dump', past: 'Dumped' },
  powerOff: { noun: 'Power off', past: 'Powered off' },
  pause: { noun: 'Pause', past: 'Paused' },
  resume: { noun: 'Resume', past: 'Resumed' },
  nmi: { noun: 'NMI', past: 'Sent an NMI' },
  hold: { noun: 'Hold', past: 'Held' },
  await: { noun: 'Wait', past: 'Waited' },
};

const stepSentence = (
  { step, atMs }: Told,
  by: string,
  decision: Decision | null,
  present: Present,
  tellNext: boolean,
): string => {
  const { noun, past } = VERBS[step.verb] ?? { noun: step.verb, past: step.verb };
  const at = clock(atMs, present.nowMs);
  const attempt = attemptText(decision);
  const next = tellNext ? nextText(present) : '';
  const why = [step.reason, step.message].filter((part) => part !== '').join(': ');
  const proof = step.proof.length === 0 ? '' : ` Proof: ${step.proof.join(', ')}.`;
  switch (step.state) {
    case StepState.APPLIED:
      return `${past} at ${at} by ${by}${attempt}${next}.${proof}`;
    case StepState.ALREADY:
      return `${noun} by ${by}${attempt} was not needed at ${at}${next}.${proof}`;
    case StepState.WAITING:
      return `${noun} by ${by}${attempt} waits since ${at}: ${step.message}.`;
    case StepState.STARTED:
      if (step.verb === 'await') return awaitSentence(step, at, by, decision, present);
      return `${noun} by ${by}${attempt} began at ${at} and is under way.`;
    default:
      return `${noun} by ${by}${attempt} ended ${wordOf(step.state)} at ${at} (${why})${next}.${proof}`;
  }
};

const awaitSentence = (
  { index }: StepUpdate,
  at: string,
  by: string,
  decision: Decision | null,
  { view, nowMs }: Present,
): string => {
  const planned = decision?.plan[index];
  const event = planned?.awaitEvent ?? '';
  const otherwise = planned?.otherwise.map(({ verb }) => verb).join(', ') || 'nothing';
  const until = view.nextAttemptMs === null ? '' : ` until ${clock(view.nextAttemptMs, nowMs)}`;
  return `The guest is given time since ${at} by ${by}: ${event || 'its next event'} is awaited${until}, else ${otherwise}.`;
};

const brief = ({ step }: Told): string => {
  const why = step.reason === '' ? '' : ` (${step.reason})`;
  const where = step.path === '' ? '' : `, ${step.path}`;
  return `${step.verb} ${wordOf(step.state)}${why}${where}`;
};

const wordOf = (state: StepState): string => (StepState[state] ?? 'unknown').toLowerCase();

const byWhom = ({ operators }: VmStory, decision: Decision | null): string => {
  if (decision !== null) {
    if (decision.rule === '') return 'the policy’s otherwise';
    return `rule ${decision.rule}${decision.ruleLine === 0 ? '' : `, line ${decision.ruleLine}`}`;
  }
  const first = operators[0]?.record?.body;
  return first?.$case === 'operator' ? `operator ${first.value.actor}` : 'nobody known any more';
};

const attemptText = (decision: Decision | null): string => {
  const budget = decision?.budget;
  if (budget === undefined || budget === null) return '';
  const within = sayDuration(Number(budget.withinMs));
  return budget.exhausted
    ? `, with budget ${budget.name} used up (${budget.before} of ${budget.limit} in ${within})`
    : `, attempt ${budget.after} of ${budget.limit} in ${within}`;
};

const nextText = (present: Present): string => {
  const { outlook, nowMs } = present;
  if (outlook === null) return '';
  if (outlook.freeAtMs !== null) {
    return `; no attempt is left before ${clock(outlook.freeAtMs, nowMs)}`;
  }
  return outlook.delayMs === 0
    ? '; a next attempt would be at once'
    : `; next attempt not before ${clock(nowMs + outlook.delayMs, nowMs)}`;
};

const idle = (decision: Decision | null, by: string): string => {
  if (decision === null) return 'What was done is not in the journal any more.';
  const plan = decision.plan.map(({ verb }) => verb).join(', ');
  if (plan === '') return 'Nothing was done.';
  return `Nothing was done; ${by} would have answered ${plan}.`;
};

const cause = ({ event, operators, decision }: VmStory, { nowMs }: Present): string[] => {
  const body = event?.record?.body;
  if (body?.$case === 'event') {
    const at = clock(event?.record?.recordedAt?.getTime() ?? 0, nowMs);
    const type = EventType[body.value.event?.type ?? 0] ?? 'an event';
    const who = (Initiator[body.value.initiator] ?? 'unknown').toLowerCase();
    return [`The event: ${type} by ${who} at ${at} (record ${event?.sequence}).`];
  }
  if (decision !== null) return ['The event is not in the journal any more.'];
  return operators.slice(0, 1).flatMap(operatorText({ nowMs }));
};

const operatorText =
  ({ nowMs }: Pick<Present, 'nowMs'>) =>
  ({ record }: { readonly record?: Record | undefined }): string[] => {
    if (record?.body?.$case !== 'operator') return [];
    const { actor, verb, reason } = record.body.value;
    const at = clock(record.recordedAt?.getTime() ?? 0, nowMs);
    return [`Asked for: ${verb} by ${actor} at ${at}: ${reason}.`];
  };

const bodyOf = (sequenced: VmStory['decision'], kind: 'decision'): Decision | null => {
  const body = sequenced?.record?.body;
  return body?.$case === kind ? body.value : null;
};

/** The time of day; with the day where it is another one. */
const clock = (ms: number, nowMs: number): string => {
  const [day, time] = new Date(ms).toISOString().split(/[T.]/);
  const today = new Date(nowMs).toISOString().slice(0, 10);
  return `${day === today ? '' : `${day} `}${time} UTC`;
};
