import {
  type DecisionDifference,
  SimulatePolicyRequest,
  SimulationDetail,
} from '../../gen/vmwarden/v1/policy_service.js';
import { FAILED, GOOD, type Io, printJson, printLine } from '../io.js';
import { plainText } from '../plain-text.js';
import { styleOf } from '../style.js';
import { readPolicy } from './read-policy.js';
import { summaryJson, tail } from './simulate.js';
import { type Place, simulation } from './simulation.js';
import { answerText, decisionJson, eventWord, timeText } from './words.js';

export interface DiffOptions {
  readonly since?: number;
  readonly vm?: readonly string[];
  readonly json?: boolean;
}

/** Decisions that go the same other way. */
interface Group {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  count: number;
  readonly vms: Set<string>;
  readonly examples: string[];
}

const MAX_GROUPS = 200;
const MAX_EXAMPLES = 3;
const MAX_VMS = 1_000;

/** Prints the decisions of two policies that differ over the journal, like ones together. Exit code 1: it can't be told. */
export const policyDiff = async (
  io: Io,
  place: Place,
  [oldFile, newFile]: readonly [string, string],
  options: DiffOptions,
): Promise<number> => {
  const json = options.json === true;
  const base = await readPolicy(io, oldFile, json);
  const read = await readPolicy(io, newFile, json);
  if (base === null || read === null) return FAILED;
  const request: SimulatePolicyRequest = {
    ...SimulatePolicyRequest.create(),
    text: read.text,
    baseText: base.text,
    since: options.since === undefined ? undefined : new Date(options.since),
    detail: SimulationDetail.DIFFERENCES,
    vmIds: [...(options.vm ?? [])],
  };
  const groups = new Map<string, Group>();
  let ungrouped = 0;
  const summary = await simulation(
    io,
    place,
    { policy: read.policy, base: base.policy, request },
    json,
    async (message) => {
      if (message.$case !== 'difference') return;
      if (json)
        await printJson(io.stdout, { kind: 'difference', ...differenceJson(message.value) });
      else if (!addTo(groups, message.value)) ungrouped += 1;
    },
  );
  if (json) {
    await printJson(io.stdout, { kind: 'summary', ...summaryJson(summary) });
    return GOOD;
  }
  const style = styleOf(io.stdout, io.env);
  for (const group of [...groups.values()].sort((a, b) => b.count - a.count)) {
    const vms = `${group.vms.size}${group.vms.size === MAX_VMS ? ' or more' : ''}`;
    const head = `${group.count} on ${group.what}, of ${vms} VM${group.vms.size === 1 ? '' : 's'}`;
    await printLine(io.stdout, style('bold', head));
    await printLine(io.stdout, style('red', `  - ${plainText(group.before)}`));
    await printLine(io.stdout, style('green', `  + ${plainText(group.after)}`));
    const more = group.count > group.examples.length ? ', ...' : '';
    await printLine(io.stdout, style('dim', `    ${plainText(group.examples.join(', '))}${more}`));
  }
  if (ungrouped > 0) await printLine(io.stdout, `and ${ungrouped} more; --json has them all`);
  if (groups.size > 0) await printLine(io.stdout, '');
  for (const line of tail(io, summary)) await printLine(io.stdout, line);
  return GOOD;
};

/** Budgets' counts and delays vary from one to the next: they are told by the kind of answer. */
const addTo = (groups: Map<string, Group>, difference: DecisionDifference): boolean => {
  const one = difference.after ?? difference.before;
  if (one === undefined) return true;
  const what = eventWord(one);
  const before = answerText(difference.before);
  const after = answerText(difference.after);
  const key = withoutTimes(`${what}\n${before}\n${after}`);
  let group = groups.get(key);
  if (group === undefined) {
    if (groups.size >= MAX_GROUPS) return false;
    group = { what, before, after, count: 0, vms: new Set(), examples: [] };
    groups.set(key, group);
  }
  group.count += 1;
  if (group.vms.size < MAX_VMS) group.vms.add(one.vmId);
  if (group.examples.length < MAX_EXAMPLES) {
    group.examples.push(`${one.vmId} at ${timeText(one.decision?.now)}`);
  }
  return true;
};

const withoutTimes = (text: string): string => text.replaceAll(/ after [^,\n]*/g, ' after a wait');

const differenceJson = ({ before, after, changed }: DecisionDifference) => ({
  changed,
  before: decisionJson(before),
  after: decisionJson(after),
});
