import { VM_ID, VM_ID_EXPECTED } from '../config/vm-id.js';
import {
  type GetPolicyResponse,
  PolicyServiceService,
  type SimulatePolicyRequest,
  type ValidatePolicyResponse,
  type PolicyProblem as WireProblem,
} from '../gen/vmwarden/v1/policy_service.js';
import { PolicyMode } from '../gen/vmwarden/v1/record.js';
import type { Journal } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import { loadPolicy } from '../policy/load-policy.js';
import type { Policy } from '../policy/policy.js';
import type { PolicyStatus } from '../policy/policy-status.js';
import type { PolicyProblem, PolicyWarning } from '../policy/problem.js';
import { MAX_TEXT } from '../policy/yaml-tree.js';
import { createFieldCheck, quoted } from './field-check.js';
import type { VmLabels } from './record-filter.js';
import type { Router } from './router.js';
import { createSimulations } from './simulate-policy.js';

export interface PolicyPorts {
  readonly status: () => PolicyStatus;
}

/** A text of the largest size in bytes, and what stands around it. */
const MAX_ONE_TEXT = 3 * MAX_TEXT + 4_096;
const MAX_TWO_TEXTS = 2 * MAX_ONE_TEXT;
const MAX_VMS = 256;

export const registerPolicyService = (
  router: Router,
  journal: Journal,
  { status }: PolicyPorts,
  labels: VmLabels,
): void => {
  const simulations = createSimulations(journal);
  router.unary(PolicyServiceService.getPolicy, async () => getPolicy(status()));
  router.unary(
    PolicyServiceService.validatePolicy,
    async ({ text }) => validatePolicy(text),
    MAX_ONE_TEXT,
  );
  router.serverStream(
    PolicyServiceService.simulatePolicy,
    async (request, stream) => {
      const check = await checked(request);
      await simulations.run({ ...check, labels }, stream);
    },
    MAX_TWO_TEXTS,
  );
};

const getPolicy = (status: PolicyStatus): GetPolicyResponse => {
  const { policy, source, text, loadedAtMs, warnings, broken } = status;
  return {
    name: policy.name,
    hash: policy.hash,
    mode: modeOf(policy),
    source,
    text,
    loadedAt: new Date(loadedAtMs),
    warnings: warnings.map(problemToProto),
    problems: (broken?.problems ?? []).map(problemToProto),
    brokenAt: broken === null ? undefined : new Date(broken.atMs),
  };
};

const validatePolicy = async (text: string): Promise<ValidatePolicyResponse> => {
  const parsed = await loadPolicy(text, 'text');
  return parsed.ok
    ? {
        valid: true,
        problems: [],
        warnings: parsed.warnings.map(problemToProto),
        name: parsed.policy.name,
        hash: parsed.policy.hash,
        mode: modeOf(parsed.policy),
      }
    : {
        valid: false,
        problems: parsed.problems.map(problemToProto),
        warnings: [],
        name: '',
        hash: '',
        mode: PolicyMode.UNSPECIFIED,
      };
};

const checked = async (request: SimulatePolicyRequest) => {
  const check = createFieldCheck();
  const { since, vmIds, detail } = request;
  if (since !== undefined && Number.isNaN(since.getTime())) {
    check.add('since', undefined, 'a time that the calendar has');
  }
  if (detail === -1) check.add('detail', undefined, 'a SimulationDetail this version knows');
  if (vmIds.length > MAX_VMS) {
    check.add('vm_ids', `${vmIds.length} ids`, `at most ${MAX_VMS}; leave it empty for all`);
  }
  vmIds.slice(0, MAX_VMS).forEach((id, index) => {
    if (!VM_ID.test(id)) check.add(`vm_ids[${index}]`, quoted(id), VM_ID_EXPECTED);
  });
  check.done('The simulation can not be asked for so');
  return {
    policy: await parsedOf('text', request.text),
    base: request.baseText === '' ? null : await parsedOf('base_text', request.baseText),
    sinceMs: since?.getTime() ?? null,
    detail,
    vmIds,
  };
};

/** Faults: POLICY_BROKEN (INVALID_ARGUMENT), with a violation for each problem. */
const parsedOf = async (field: string, text: string): Promise<Policy> => {
  const parsed = await loadPolicy(text, field);
  if (parsed.ok) return parsed.policy;
  throw new Fault('INVALID_ARGUMENT', 'POLICY_BROKEN', `The policy in ${field} can't be used`, {
    violations: parsed.problems.map(({ id, line, column, path, message, hint }) => ({
      field: `${field}:${line}:${column}`,
      expected: `a good policy: ${id} ${path}: ${message}${hint === '' ? '' : ` (${hint})`}`,
    })),
  });
};

const modeOf = ({ mode }: Policy): PolicyMode =>
  mode === 'observe' ? PolicyMode.OBSERVE : PolicyMode.ENFORCE;

const problemToProto = ({
  id,
  line,
  column,
  path,
  message,
  hint,
}: PolicyProblem | PolicyWarning): WireProblem => ({ id, line, column, path, message, hint });
