import { Fault } from '../../lib/fault.js';
import type { AgentHello } from '../attach.js';

/** Versions of the protocol that are spoken here. */
export const VERSIONS: readonly number[] = [1];

const AGAIN_MS = 5_000;

export const unknownVmFault = (vm: string): Fault =>
  new Fault(
    'NOT_FOUND',
    'VM_UNKNOWN',
    `VM ${vm} is not in the configuration: an agent can't bring in its VM. Add it to \`vms\` with driver: { kind: agent }`,
    { violations: [{ field: 'hello.vm_id', value: vm, expected: 'the id of a VM in `vms`' }] },
  );

export const otherDriverFault = (vm: string, kind: string): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'NOT_AGENT_DRIVEN',
    `VM ${vm} has driver: { kind: ${kind} }; only one of kind agent takes an agent`,
    { metadata: { driver: kind } },
  );

export const uidFault = (vm: string, said: string, expected: string): Fault =>
  new Fault('FAILED_PRECONDITION', 'UID_MISMATCH', `VM ${vm} is another one here`, {
    violations: [{ field: 'hello.vm_uid', value: said, expected }],
  });

export const versionFault = (said: readonly number[]): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'VERSION_UNSUPPORTED',
    `The agent speaks versions ${said.join(', ')} of this protocol, vmwarden ${VERSIONS.join(', ')}`,
    { metadata: { versions: VERSIONS.join(',') } },
  );

export const attachedFault = (vm: string, { agent }: AgentHello, sinceMs: number): Fault =>
  new Fault(
    'ALREADY_EXISTS',
    'AGENT_ATTACHED',
    `VM ${vm} has an agent, attached for ${Math.round(sinceMs / 1000)} s: ${agent}. A VM has one; stop it first`,
    { retryAfterMs: AGAIN_MS, metadata: { agent, attachedMs: String(Math.round(sinceMs)) } },
  );

export const replacedFault = (): Fault =>
  new Fault(
    'ABORTED',
    'AGENT_REPLACED',
    'The same agent (its instance) has attached again, on another stream',
  );

export const stoppingFault = (): Fault =>
  new Fault('UNAVAILABLE', 'STOPPING', 'vmwarden is stopping', { retryAfterMs: AGAIN_MS });

export const silentFault = (times: number): Fault =>
  new Fault(
    'DEADLINE_EXCEEDED',
    'AGENT_SILENT',
    `The agent did not say how its guest is, asked ${times} times`,
  );

export const gapFault = (said: bigint, expected: bigint): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'EVENT_GAP',
    `Event ${said} came, but ${expected} is next: an agent that has lost events takes another instance`,
    { metadata: { expected: String(expected) } },
  );

/** Its reason is that of a VMM that can't be spoken to: a step waits for it as for any other. */
export const unansweredFault = (timeoutMs: number): Fault =>
  new Fault(
    'DEADLINE_EXCEEDED',
    'VMM_SILENT',
    `the agent did not say how its guest is in ${timeoutMs} ms`,
  );

export const notAttachedFault = (reason: string): Fault =>
  new Fault('UNAVAILABLE', 'NOT_CONNECTED', `no agent is attached: ${reason}`);

export const stoppedFault = (): Fault =>
  new Fault('CANCELLED', 'STOPPED', 'vmwarden no longer watches this VM');

export const takeOverFault = (problem: string): Fault =>
  new Fault('FAILED_PRECONDITION', 'TAKE_OVER_REFUSED', `the agent did not take over: ${problem}`);
