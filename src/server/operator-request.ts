import { VM_ID, VM_ID_EXPECTED } from '../config/vm-id.js';
import { ACT_VERBS, type ActAsked, type ActVerb, type By } from '../engine/operators.js';
import type { ActOnVmRequest } from '../gen/vmwarden/v1/vm_service.js';
import { step } from '../policy/parse.js';
import { createFieldCheck, type FieldCheck, quoted } from './field-check.js';

const MAX_ACT_BYTES = 256;
const MAX_ID_BYTES = 128;
const MIN_TIMEOUT_MS = 1_000;
const MAX_TIMEOUT_MS = 3_600_000;

interface Said {
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
  readonly vmId?: string;
  readonly incidentId?: string;
  readonly budget?: string;
}

/** Who asks, and why. Throws INVALID_FIELDS with everything that is wrong with the request. */
export const byOf = (request: Said, also?: (check: FieldCheck) => void): By => {
  const check = createFieldCheck();
  const { actor, reason, requestId, vmId, incidentId, budget } = request;
  if (vmId !== undefined) checkVm(vmId, check);
  check.text('actor', actor, { maxBytes: MAX_ACT_BYTES, required: true });
  check.text('reason', reason, { maxBytes: MAX_ACT_BYTES, required: true });
  check.text('request_id', requestId, { maxBytes: MAX_ID_BYTES });
  check.text('incident_id', incidentId ?? '', { maxBytes: MAX_ID_BYTES });
  check.text('budget', budget ?? '', { maxBytes: MAX_ACT_BYTES });
  also?.(check);
  check.done('The request can not be taken');
  return { actor, reason, requestId };
};

export const checkVm = (vmId: string, check: FieldCheck): void => {
  if (!VM_ID.test(vmId)) check.add('vm_id', quoted(vmId), VM_ID_EXPECTED);
};

export const actOf = (request: ActOnVmRequest): { readonly asked: ActAsked; readonly by: By } => {
  const verb = ACT_VERBS.find((one) => one === request.verb) ?? null;
  const timeoutMs = Number(request.timeoutMs);
  const by = byOf(request, (check) => {
    if (verb === null) check.add('verb', quoted(request.verb), `one of ${ACT_VERBS.join(', ')}`);
    if (timeoutMs !== 0 && (timeoutMs < MIN_TIMEOUT_MS || timeoutMs > MAX_TIMEOUT_MS)) {
      const expected = `0, or ${MIN_TIMEOUT_MS} to ${MAX_TIMEOUT_MS}`;
      check.add('timeout_ms', String(request.timeoutMs), expected);
    }
  });
  if (verb === null) throw new Error('a violation was added, so the check has thrown');
  return { by, asked: { verb, timeoutMs: timeoutMs === 0 ? defaultMs(verb) : timeoutMs } };
};

const defaultMs = (verb: ActVerb): number =>
  step(verb === 'restartProcess' ? 'restart' : verb).timeoutMs;
