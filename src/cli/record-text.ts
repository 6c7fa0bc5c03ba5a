import { HostState, type Record, StepState } from '../gen/vmwarden/v1/record.js';
import { Initiator, Origin, type SystemEvent } from '../gen/vmwarden/v1/system_event.js';
import { sayDuration } from '../lib/duration.js';
import { saySize } from '../lib/size.js';
import { decodedJson } from '../record/event-json.js';
import { systemEventFromProto } from '../record/system-event-codec.js';

/** What a record says, in one line for a person; not yet safe to print. */
export const recordText = ({ body }: Record): string => {
  switch (body?.$case) {
    case undefined:
      return 'a kind of record that this version does not know';
    case 'event': {
      const { event, origin, initiator, count, reconciled } = body.value;
      return [
        event === undefined ? 'no event' : eventText(event),
        `from ${word(Origin[origin])} by ${word(Initiator[initiator])}`,
        ...(count > 1 ? [`${count} times`] : []),
        ...(reconciled ? ['found on connect'] : []),
      ].join(', ');
    }
    case 'decision': {
      const { rule, plan, reasons } = body.value;
      const steps = plan.map(({ verb }) => verb).join(', ');
      const by = rule === '' ? 'otherwise' : `rule "${rule}"`;
      return `${by}: ${steps === '' ? 'nothing to do' : steps}. ${reasons.join(' ')}`;
    }
    case 'step':
      return stepText(body.value);
    case 'vm': {
      const { state, phase, reason, bootEpoch } = body.value;
      const why = reason === '' ? '' : `: ${reason}`;
      return `${state || 'unknown'}, boot ${bootEpoch}, ${PHASES[phase] ?? phase}${why}`;
    }
    case 'policy':
      return `policy ${body.value.name} (${body.value.mode === 2 ? 'enforce' : 'observe'})`;
    case 'operator':
      return `${body.value.verb} by ${body.value.actor}: ${body.value.reason}`;
    case 'loss': {
      const { firstSequence, lastSequence, reason } = body.value;
      return `records ${firstSequence} to ${lastSequence} are gone: ${reason}`;
    }
    case 'host':
      return `vmwarden ${body.value.state === HostState.CLOSED ? 'ended in order' : 'says something new'}: ${body.value.reason}`;
  }
};

const PHASES: Readonly<{ [phase: number]: string }> = {
  1: 'well',
  2: 'waiting',
  3: 'acting',
  4: 'held',
};

const eventText = (event: SystemEvent): string => {
  const parsed = systemEventFromProto(event);
  if (!parsed.ok) return 'an event of a newer version';
  const { type, data, detail, anomalies } = decodedJson(parsed.value);
  const words = Array.isArray(data) && data.length > 0 ? ` [${data.join(' ')}]` : '';
  const details = Object.entries(detail ?? {})
    .filter(
      ([, value]) =>
        value !== '' && value !== null && !(Array.isArray(value) && value.length === 0),
    )
    .map(([key, value]) => ` ${key}=${String(value)}`);
  const odd = Array.isArray(anomalies) && anomalies.length > 0 ? ` (${anomalies.join(', ')})` : '';
  return `${String(type)}${words}${details.join('')}${odd}`;
};

type Step = Extract<NonNullable<Record['body']>, { $case: 'step' }>['value'];

const stepText = (step: Step): string => {
  const { verb, state, attempt, reason, message, proof, elapsedNs, path } = step;
  if (state === StepState.PROGRESS) {
    return `${verb}: ${saySize(Number(step.bytesDone))} of ${saySize(Number(step.bytesTotal))}`;
  }
  const again = attempt > 1 ? ` (attempt ${attempt})` : '';
  const took = elapsedNs > 0n ? ` in ${sayDuration(Number(elapsedNs) / 1e6)}` : '';
  const why = [reason, message].filter((part) => part !== '').join(': ');
  return [
    `${verb} ${word(StepState[state])}${again}${took}`,
    ...(why === '' ? [] : [why]),
    ...(path === '' ? [] : [path]),
    ...(proof.length === 0 ? [] : [`proof: ${proof.join(' → ')}`]),
  ].join('; ');
};

const word = (name: string | undefined): string => (name ?? 'unknown').toLowerCase();
