import type { EventReport, ReportKey } from '../event/report.js';
import {
  HostState,
  type OperatorAct,
  type PlannedStep,
  Record,
  StepState,
  type StepUpdate,
  type VmUpdate,
  type ReportKey as WireReportKey,
} from '../gen/vmwarden/v1/record.js';
import type { Moment } from '../lib/clock.js';
import type { Decision, Policy, Question, Step } from '../policy/policy.js';
import { systemEventToProto } from '../record/system-event-codec.js';
import type { Outcome, Progress } from '../vmm/driver.js';
import type { Disposition, VmView } from './engine.js';
import { CONTACT, DISPOSITION, INITIATOR, MODE, ORIGIN, OUTCOME, PHASE } from './record-words.js';
import type { Facts, VmRow } from './vm-row.js';

/** Builders of journal records. A record carries no sequence inside. */

export interface Fold {
  readonly count: number;
  readonly firstAtMs: number;
}

export const eventRecord = (
  now: Moment,
  row: VmRow,
  report: EventReport,
  facts: Facts,
  disposition: Disposition,
  incident: string,
  fold: Fold | null,
  fromDriver: boolean,
  ofEarlierBoot: boolean,
): Record =>
  record(now, row.id, incident, {
    $case: 'event',
    value: {
      event: systemEventToProto(facts.event),
      origin: ORIGIN[facts.origin],
      initiator: INITIATOR[facts.initiator],
      disposition: DISPOSITION[disposition],
      vmUid: report.uid,
      bootId: report.bootId ?? '',
      bootEpoch: BigInt(row.epoch),
      occurredAt: report.occurredAtMs === null ? undefined : new Date(report.occurredAtMs),
      key: report.key === null ? undefined : wireKey(report.key),
      reconciled: report.reconciled,
      count: fold?.count ?? 0,
      firstAt: fold === null ? undefined : new Date(fold.firstAtMs),
      fromDriver,
      ofEarlierBoot,
      keptUid: row.uid === report.uid ? undefined : row.uid,
    },
  });

export const decisionRecord = (
  now: Moment,
  vm: string,
  incident: string,
  facts: Facts,
  decision: Decision,
  outOfReach: boolean,
  inputs: Pick<Question, 'vm' | 'host'>,
): Record =>
  record(now, vm, incident, {
    $case: 'decision',
    value: {
      eventSequence: BigInt(facts.sequence),
      mode: MODE[decision.mode],
      rule: decision.rule?.name ?? '',
      ruleLine: decision.rule?.line ?? 0,
      reasons: [...decision.reasons],
      plan: decision.plan.map(plannedStep),
      budget:
        decision.budget === null
          ? undefined
          : {
              name: decision.budget.name,
              before: decision.budget.before,
              after: decision.budget.after,
              limit: decision.budget.limit.attempts,
              withinMs: BigInt(Math.round(decision.budget.limit.withinMs)),
              exhausted: decision.budget.exhausted,
            },
      policyHash: decision.policyHash,
      now: new Date(now.wallMs),
      monotonicMs: BigInt(Math.floor(now.monoMs)),
      hostBootId: now.hostBootId,
      notBefore: decision.delayMs > 0 ? new Date(now.wallMs + decision.delayMs) : undefined,
      outOfReach,
      inputs: {
        labels: { ...inputs.vm.labels },
        host: inputs.host.name,
        hostVms: inputs.host.vms,
        hostDying: inputs.host.dying,
        storm: inputs.host.storm === 'on',
      },
      conditionError: decision.conditionError ?? '',
    },
  });

export interface StepPlace {
  readonly vm: string;
  readonly incident: string;
  readonly index: number;
  readonly verb: string;
  readonly attempt: number;
}

/** It doesn't start though its time has come: the host has other things to do. */
export const waitingRecord = (
  now: Moment,
  place: StepPlace,
  reason: string,
  message: string,
): Record => stepRecord(now, place, { state: StepState.WAITING, reason, message });

/** `charged`: the budget that pays one attempt with it; empty: none. */
export const startedRecord = (now: Moment, place: StepPlace, charged: string): Record =>
  stepRecord(now, place, { state: StepState.STARTED, charged });

export const outcomeRecord = (
  now: Moment,
  place: StepPlace,
  outcome: Outcome,
  elapsedNs: bigint,
  path: string,
  refunded = '',
): Record =>
  stepRecord(now, place, {
    state: OUTCOME[outcome.kind],
    reason: 'reason' in outcome ? outcome.reason : '',
    message: 'message' in outcome ? outcome.message : '',
    proof: [...outcome.proof],
    elapsedNs,
    path,
    refunded,
  });

export const progressRecord = (
  now: Moment,
  place: StepPlace,
  progress: Progress,
  path: string,
): Record =>
  stepRecord(now, place, {
    state: StepState.PROGRESS,
    path,
    bytesDone: BigInt(progress.doneBytes),
    bytesTotal: BigInt(progress.totalBytes),
  });

/** `continuous` is told as contact is made, and only then. */
export const vmRecord = (now: Moment, view: VmView, continuous?: boolean): Record =>
  record(now, view.id, view.incident, {
    $case: 'vm',
    value: { ...vmUpdate(view), continuous },
  });

export const vmUpdate = (view: VmView): VmUpdate => ({
  continuous: undefined,
  uid: view.uid,
  driver: view.driver,
  contact: CONTACT[view.contact],
  state: view.state,
  bootId: view.bootId,
  bootEpoch: BigInt(view.bootEpoch),
  phase: PHASE[view.phase],
  reason: view.reason,
});

export const policyRecord = (
  now: Moment,
  policy: Policy,
  source: string,
  atStart: boolean,
): Record =>
  record(now, '', '', {
    $case: 'policy',
    value: {
      name: policy.name,
      hash: policy.hash,
      mode: MODE[policy.mode],
      source,
      atStart,
      hostBootId: now.hostBootId,
    },
  });

export const operatorRecord = (
  now: Moment,
  vm: string,
  act: Pick<OperatorAct, 'actor' | 'reason' | 'verb'> & Partial<OperatorAct>,
  incident = '',
): Record =>
  record(now, vm, incident, {
    $case: 'operator',
    value: { requestId: '', detail: '', budget: '', ...act },
  });

/** Records first to last were dropped; 0 to 0 for events that never became records. */
export const lossRecord = (
  now: Moment,
  vm: string,
  first: number,
  last: number,
  reason: string,
): Record =>
  record(now, vm, '', {
    $case: 'loss',
    value: { firstSequence: BigInt(first), lastSequence: BigInt(last), reason },
  });

/** The last record of a life that ends in order. */
export const hostClosedRecord = (now: Moment, reason: string): Record =>
  record(now, '', '', { $case: 'host', value: { state: HostState.CLOSED, reason } });

export const encodeRecord = (value: Record): Uint8Array => Record.encode(value).finish();

const record = (now: Moment, vmId: string, incidentId: string, body: Record['body']): Record => ({
  recordedAt: new Date(now.wallMs),
  vmId,
  incidentId,
  monotonicUs: BigInt(Math.round(now.monoMs * 1_000)),
  body,
});

const stepRecord = (now: Moment, place: StepPlace, update: Partial<StepUpdate>): Record =>
  record(now, place.vm, place.incident, {
    $case: 'step',
    value: {
      index: place.index,
      verb: place.verb,
      attempt: place.attempt,
      state: StepState.UNSPECIFIED,
      reason: '',
      message: '',
      proof: [],
      elapsedNs: 0n,
      path: '',
      bytesDone: 0n,
      bytesTotal: 0n,
      charged: '',
      refunded: '',
      ...update,
    },
  });

export const plannedStep = (step: Step): PlannedStep => ({
  verb: step.verb,
  timeoutMs: BigInt(Math.round(step.timeoutMs)),
  retries: step.retries,
  continueOnFailure: step.onFailure === 'continue',
  inProcess: step.verb === 'restart' && step.in === 'process',
  awaitEvent: step.verb === 'await' ? step.event : '',
  otherwise: step.verb === 'await' ? step.otherwise.map(plannedStep) : [],
});

const wireKey = (key: ReportKey): WireReportKey => ({
  key:
    key.kind === 'request'
      ? { $case: 'requestId', value: key.requestId }
      : {
          $case: 'sourceSequence',
          value: { source: key.source, instance: key.instance, sequence: key.sequence },
        },
});
