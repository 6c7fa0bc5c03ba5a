import { VM_ID, VM_ID_EXPECTED } from '../config/vm-id.js';
import type { Engine } from '../engine/engine.js';
import {
  type ListVmsRequest,
  type ListVmsResponse,
  type ReleaseVmRequest,
  VmServiceService,
} from '../gen/vmwarden/v1/vm_service.js';
import { vmToProto } from './convert.js';
import { createFieldCheck, quoted } from './field-check.js';
import type { Router } from './router.js';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
const MAX_ACT_BYTES = 256;

export const registerVmService = (router: Router, engine: Engine): void => {
  router.unary(VmServiceService.listVms, async (request) => listVms(engine, request));
  router.unary(VmServiceService.releaseVm, async (request) => {
    checkRelease(request);
    const view = await engine.release(request.vmId, request.actor, request.reason);
    return { vm: vmToProto(view), found: '', sequence: 0n, repeat: false };
  });
};

/** A page token is the last id of the page before, so that a page holds whatever comes and goes between. */
const listVms = (engine: Engine, request: ListVmsRequest): ListVmsResponse => {
  const check = createFieldCheck();
  const { pageSize, pageToken } = request;
  if (pageSize < 0 || pageSize > MAX_PAGE) {
    check.add('pageSize', String(pageSize), `0 to ${MAX_PAGE}; 0 means ${DEFAULT_PAGE}`);
  }
  if (pageToken !== '' && !VM_ID.test(pageToken)) {
    check.add('pageToken', quoted(pageToken), 'the nextPageToken of an earlier answer');
  }
  check.done('The list can not be asked for so');

  const size = pageSize === 0 ? DEFAULT_PAGE : pageSize;
  const rest = engine.vms().filter(({ id }) => id > pageToken);
  const page = rest.slice(0, size);
  return {
    vms: page.map(vmToProto),
    nextPageToken: rest.length > size ? (page.at(-1)?.id ?? '') : '',
  };
};

const checkRelease = ({ vmId, actor, reason }: ReleaseVmRequest): void => {
  const check = createFieldCheck();
  if (!VM_ID.test(vmId)) check.add('vm_id', quoted(vmId), VM_ID_EXPECTED);
  check.text('actor', actor, { maxBytes: MAX_ACT_BYTES, required: true });
  check.text('reason', reason, { maxBytes: MAX_ACT_BYTES, required: true });
  check.done('The VM can not be released so');
};
