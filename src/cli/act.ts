import { type Command, InvalidArgumentError } from 'commander';
import { ACT_VERBS } from '../engine/operators.js';
import { StepState } from '../gen/vmwarden/v1/record.js';
import type {
  ActOnVmRequest,
  ActOnVmResponse,
  CancelActRequest,
  CancelActResponse,
} from '../gen/vmwarden/v1/vm_service.js';
import { parseDuration } from '../lib/duration.js';
import { sequencedRecordJson } from '../record/json.js';
import { FAILED, GOOD, type Io, printJson, printLine } from './io.js';
import { openSource } from './open-source.js';
import { addOperatorOptions, ask, type OperatorFlags, operatorFlags } from './operator-options.js';
import { plainText } from './plain-text.js';
import { recordText } from './record-text.js';
import { vmJson } from './vms.js';

export interface ActFlags extends OperatorFlags {
  /** Milliseconds; 0: the verb's default. */
  readonly timeout: number;
  /** False: answer as soon as it has begun. */
  readonly wait: boolean;
  readonly incident: string;
}

/** Asks for an act and shows how it goes: 0 when it was applied, or already so. Rejects with Faults. */
export const act = async (
  io: Io,
  socket: string,
  vmId: string,
  verb: string,
  flags: ActFlags,
): Promise<number> => {
  const { actor, reason, requestId, json = false } = flags;
  if (verb === 'cancel') {
    const { vm } = await ask<CancelActRequest, CancelActResponse>(
      socket,
      (client) => client.cancelAct,
      {
        vmId,
        incidentId: flags.incident,
        actor,
        reason,
        requestId,
      },
    );
    if (json) await printJson(io.stdout, vm === undefined ? {} : vmJson(vm));
    else await printLine(io.stdout, plainText(`What was open on ${vmId} is called off.`));
    return GOOD;
  }
  const begun = await ask<ActOnVmRequest, ActOnVmResponse>(socket, (client) => client.actOnVm, {
    vmId,
    verb,
    actor,
    reason,
    requestId,
    timeoutMs: BigInt(flags.timeout),
  });
  const { incidentId, sequence } = begun;
  if (json) await printJson(io.stdout, { incidentId, sequence: Number(sequence), verb, vmId });
  else
    await printLine(io.stdout, plainText(`${verb} of ${vmId} has begun, incident ${incidentId}`));
  return flags.wait ? follow(io, socket, vmId, begun, json) : GOOD;
};

const follow = async (
  io: Io,
  socket: string,
  vmId: string,
  { incidentId, sequence: after }: ActOnVmResponse,
  json: boolean,
): Promise<number> => {
  const source = await openSource({ socket, dataDir: '' });
  const query = {
    after,
    newest: 0,
    vms: [vmId],
    kinds: ['step'],
    types: [],
    labels: {},
    follow: true,
  };
  for await (const { sequence, record } of source.records(query)) {
    if (record.incidentId !== incidentId || record.body?.$case !== 'step') continue;
    if (json) await printJson(io.stdout, sequencedRecordJson(sequence, record));
    else await printLine(io.stdout, plainText(recordText(record)));
    switch (record.body.value.state) {
      case StepState.STARTED:
      case StepState.PROGRESS:
        continue;
      case StepState.APPLIED:
      case StepState.ALREADY:
        return GOOD;
      default:
        return FAILED;
    }
  }
  return FAILED;
};

/** Adds `vmwarden act`. */
export const addActCommand = (program: Command): void => {
  addOperatorOptions(
    program
      .command('act')
      .description('act on a VM, verified as the policy’s steps are, or call off what is open')
      .argument('<vm>', 'id of the VM')
      .argument('<verb>', VERBS_EXPECTED, verbOf)
      .option('--timeout <DURATION>', 'the act may take so long', timeoutOf, 0)
      .option('--incident <ID>', 'with cancel: only if this is what is open', '')
      .option('--no-wait', 'don’t wait for its outcome'),
  ).action(async (vm: string, verb: string, given: ActFlags) => {
    const ready = await operatorFlags(given as ActFlags & { readonly [flag: string]: unknown });
    process.exitCode =
      typeof ready === 'number' ? ready : await act(process, ready.socket, vm, verb, ready.flags);
  });
};

const hyphened = (verb: string): string =>
  verb.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const VERBS_EXPECTED = `${ACT_VERBS.map(hyphened).join(', ')} or cancel`;

/** Also as the API and the policy spell it: powerOff. */
const verbOf = (text: string): string => {
  if (text === 'cancel') return text;
  const verb = ACT_VERBS.find((one) => one === text || hyphened(one) === text);
  if (verb !== undefined) return verb;
  throw new InvalidArgumentError(`Expected ${VERBS_EXPECTED}.`);
};

const timeoutOf = (text: string): number => {
  const parsed = parseDuration(text, { minMs: 1_000, maxMs: 3_600_000 });
  if (parsed.ok) return parsed.ms;
  throw new InvalidArgumentError(`Expected ${parsed.expected}.`);
};
