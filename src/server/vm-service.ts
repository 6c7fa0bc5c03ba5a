import { VM_ID } from '../config/vm-id.js';
import type { Engine } from '../engine/engine.js';
import type { Asked } from '../engine/operators.js';
import {
  type ListVmsRequest,
  type ListVmsResponse,
  type Vm,
  VmServiceService,
} from '../gen/vmwarden/v1/vm_service.js';
import type { Journal } from '../journal/journal.js';
import { vmToProto } from './convert.js';
import { explainVm, holdToProto } from './explain-vm.js';
import { createFieldCheck, quoted } from './field-check.js';
import { pageSize } from './list-records.js';
import { actOf, byOf, checkVm } from './operator-request.js';
import type { VmLabels } from './record-filter.js';
import type { Router } from './router.js';

export interface VmServiceParts {
  readonly engine: Engine;
  readonly journal: Journal;
  readonly labels: VmLabels;
}

export const registerVmService = (router: Router, parts: VmServiceParts): void => {
  const { engine, journal } = parts;
  const { operators } = engine;
  const vm = (id: string): Vm => vmToProto(engine.vm(id), parts.labels.get(id));
  const asked = ({ sequence, repeat }: Asked) => ({ sequence: BigInt(sequence), repeat });
  const host = () => ({ hold: holdToProto(operators.hostHold()) });

  router.unary(VmServiceService.listVms, async (request) => listVms(parts, request));
  router.unary(VmServiceService.getVm, async ({ vmId }) => {
    known(vmId);
    return { vm: vm(vmId) };
  });
  router.unary(VmServiceService.explainVm, async ({ vmId, incidentId }) => {
    known(vmId, incidentId);
    const knowledge = {
      view: engine.vm(vmId),
      outlook: (budget: string) => engine.outlook(vmId, budget),
      hostHold: operators.hostHold(),
      nowMs: engine.nowMs(),
      labels: parts.labels.get(vmId) ?? {},
    };
    return explainVm(journal, knowledge, incidentId);
  });

  router.unary(VmServiceService.actOnVm, async (request) => {
    const { asked: act, by } = actOf(request);
    const answer = await operators.act(request.vmId, act, by);
    return { ...asked(answer), incidentId: answer.incident, journalId: journal.id };
  });
  router.unary(VmServiceService.cancelAct, async (request) => {
    const by = byOf(request);
    const answer = await operators.cancel(request.vmId, request.incidentId, by);
    return { ...asked(answer), vm: vm(request.vmId) };
  });
  router.unary(VmServiceService.holdVm, async (request) => {
    const answer = await operators.hold(request.vmId, byOf(request));
    return { ...asked(answer), vm: vm(request.vmId) };
  });
  router.unary(VmServiceService.releaseVm, async (request) => {
    const answer = await operators.release(request.vmId, byOf(request));
    return { ...asked(answer), vm: vm(request.vmId), found: answer.detail };
  });
  router.unary(VmServiceService.resetBudget, async (request) => {
    const answer = await operators.resetBudget(request.vmId, request.budget, byOf(request));
    return { ...asked(answer), vm: vm(request.vmId) };
  });

  router.unary(VmServiceService.getHost, async () => ({ host: host() }));
  router.unary(VmServiceService.holdHost, async (request) => {
    const answer = await operators.holdHost(byOf(request));
    return { ...asked(answer), host: host() };
  });
  router.unary(VmServiceService.releaseHost, async (request) => {
    const answer = await operators.releaseHost(byOf(request));
    return { ...asked(answer), host: host() };
  });
};

const known = (vmId: string, incidentId = ''): void => {
  const check = createFieldCheck();
  checkVm(vmId, check);
  check.text('incident_id', incidentId, { maxBytes: 128 });
  check.done('There is no such VM');
};

/** A page token is the last id of the page before, so that a page holds whatever comes and goes between. */
const listVms = (
  { engine, labels }: VmServiceParts,
  { pageSize: wanted, pageToken }: ListVmsRequest,
): ListVmsResponse => {
  const check = createFieldCheck();
  const size = pageSize(wanted, check);
  if (pageToken !== '' && !VM_ID.test(pageToken)) {
    check.add('page_token', quoted(pageToken), 'the nextPageToken of an earlier answer');
  }
  check.done('The list can not be asked for so');
  const rest = engine.vms().filter(({ id }) => id > pageToken);
  const page = rest.slice(0, size);
  return {
    vms: page.map((view) => vmToProto(view, labels.get(view.id))),
    nextPageToken: rest.length > size ? (page.at(-1)?.id ?? '') : '',
  };
};
