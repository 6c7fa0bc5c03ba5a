import {
  SimulatePolicyRequest,
  SimulationDetail,
  type SimulationSummary,
} from '../../gen/vmwarden/v1/policy_service.js';
import { FAILED, GOOD, type Io, printJson, printLine } from '../io.js';
import { plainText } from '../plain-text.js';
import { styleOf } from '../style.js';
import { table } from '../table.js';
import { readPolicy } from './read-policy.js';
import { type Place, simulation, type ToldMessage } from './simulation.js';
import { answerText, decisionJson, eventWord, ruleWord, stepsText, timeText } from './words.js';

export interface SimulateOptions {
  readonly since?: number;
  readonly vm?: readonly string[];
  /** Print each decision. */
  readonly decisions?: boolean;
  readonly json?: boolean;
}

/** Prints what the policy would have done over the journal. Exit code 1: the policy is broken, or there is no journal. */
export const policySimulate = async (
  io: Io,
  place: Place,
  file: string,
  options: SimulateOptions,
): Promise<number> => {
  const json = options.json === true;
  const read = await readPolicy(io, file, json);
  if (read === null) return FAILED;
  const request: SimulatePolicyRequest = {
    ...SimulatePolicyRequest.create(),
    text: read.text,
    since: options.since === undefined ? undefined : new Date(options.since),
    detail: options.decisions === true ? SimulationDetail.DECISIONS : SimulationDetail.UNSPECIFIED,
    vmIds: [...(options.vm ?? [])],
  };
  const summary = await simulation(
    io,
    place,
    { policy: read.policy, base: null, request },
    json,
    (message) => tellDecision(io, message, json),
  );
  if (json) await printJson(io.stdout, { kind: 'summary', ...summaryJson(summary) });
  else for (const line of summaryLines(io, summary)) await printLine(io.stdout, line);
  return GOOD;
};

const tellDecision = async (io: Io, message: ToldMessage, json: boolean): Promise<void> => {
  if (message.$case !== 'decision') return;
  const one = message.value;
  if (json) {
    await printJson(io.stdout, { kind: 'decision', ...decisionJson(one) });
    return;
  }
  const style = styleOf(io.stdout, io.env);
  const at = style('dim', timeText(one.decision?.now));
  await printLine(
    io.stdout,
    `${at}  ${plainText(one.vmId).padEnd(16)}  ${eventWord(one)}: ${plainText(answerText(one))}`,
  );
};

/** VMs that a person reads; `--json` has more. */
const VMS_SHOWN = 20;

export const summaryLines = (io: Io, summary: SimulationSummary): string[] => {
  const style = styleOf(io.stdout, io.env);
  const { events, decisions, from, to, rules, vms, moreVms } = summary;
  const span = from === undefined ? '' : `, ${timeText(from)} to ${timeText(to)}`;
  const hidden = Math.max(0, vms.length - VMS_SHOWN) + moreVms;
  const [ruleHead = '', ...ruleRows] = table([
    ['RULE', 'LINE', 'DECISIONS', 'ACTED', 'EXHAUSTED', 'STEPS BEGUN'],
    ...rules.map(({ name, line, decisions: count, acted, exhausted, steps }) => [
      ruleWord(name),
      line === 0 ? '-' : String(line),
      String(count),
      String(acted),
      String(exhausted),
      stepsText(steps),
    ]),
  ]);
  const [vmHead = '', ...vmRows] = table([
    ['VM', 'DECISIONS', 'ACTED', 'EXHAUSTED', 'AT THE END', 'STEPS BEGUN'],
    ...vms
      .slice(0, VMS_SHOWN)
      .map(({ vmId, decisions: count, acted, exhausted, held, incidentId, steps }) => [
        vmId,
        String(count),
        String(acted),
        String(exhausted),
        held ? 'held' : incidentId === '' ? 'well' : 'waits',
        stepsText(steps),
      ]),
  ]);
  return [
    `${events} events, ${decisions} decisions${span}`,
    '',
    style('bold', ruleHead),
    ...ruleRows,
    '',
    style('bold', vmHead),
    ...vmRows,
    ...(hidden > 0 ? [style('dim', `and ${hidden} more VMs; --json has more of them`)] : []),
    '',
    ...tail(io, summary),
  ];
};

/** How it compares, and on what it rests. */
export const tail = (io: Io, summary: SimulationSummary): string[] => {
  const style = styleOf(io.stdout, io.env);
  const { same, different, assumptions, warnings } = summary;
  return [
    `${same} decisions are the same, ${style(different > 0n ? 'yellow' : 'green', `${different} differ`)}`,
    ...assumptions.map((sentence) => style('dim', `assumed: ${sentence}`)),
    ...warnings.map((sentence) => style('yellow', `warning: ${sentence}`)),
  ];
};

export const summaryJson = (summary: SimulationSummary) => ({
  ...summary,
  events: Number(summary.events),
  decisions: Number(summary.decisions),
  from: summary.from === undefined ? null : timeText(summary.from),
  to: summary.to === undefined ? null : timeText(summary.to),
  same: Number(summary.same),
  different: Number(summary.different),
  recordedOutcomes: Number(summary.recordedOutcomes),
  assumedOutcomes: Number(summary.assumedOutcomes),
  rules: summary.rules.map(({ name, line, ...counts }) => ({ name, line, ...countsJson(counts) })),
  vms: summary.vms.map(({ vmId, held, incidentId, ...counts }) => ({
    vmId,
    held,
    incidentId,
    ...countsJson(counts),
  })),
});

const countsJson = ({
  decisions,
  acted,
  exhausted,
  steps,
}: Pick<SimulationSummary['vms'][number], 'decisions' | 'acted' | 'exhausted' | 'steps'>) => ({
  decisions: Number(decisions),
  acted: Number(acted),
  exhausted: Number(exhausted),
  steps: Object.fromEntries(steps.map(({ verb, count }) => [verb, Number(count)])),
});
