import type { AttachResponse } from '../gen/vmwarden/v1/agent_service.js';
import { MAX_EVENTS, type ToAgent } from '../vmm/attach.js';
import { WIRE_VERBS, WIRE_VERDICTS } from './agent-words.js';
import { statusMessage } from './status.js';

export const responseFromMessage = (message: ToAgent): AttachResponse => ({
  message: toProto(message),
});

const toProto = (message: ToAgent): AttachResponse['message'] => {
  switch (message.kind) {
    case 'welcome': {
      const { version, acknowledgedThrough, maxUnacknowledged } = message;
      return {
        $case: 'welcome',
        value: { version, acknowledgedThrough, maxEvents: MAX_EVENTS, maxUnacknowledged },
      };
    }
    case 'eventsAck': {
      const refused = message.refused.map(({ sequence, fault }) => ({
        sequence,
        status: statusMessage(fault),
      }));
      return { $case: 'eventsAck', value: { through: message.through, refused } };
    }
    case 'step': {
      const { id, verb, timeoutMs, dumpPath, bootId, boots } = message.step;
      const timeout = {
        seconds: BigInt(Math.floor(timeoutMs / 1000)),
        nanos: Math.floor((timeoutMs % 1000) * 1e6),
      };
      return {
        $case: 'step',
        value: { id, verb: WIRE_VERBS[verb], timeout, dumpPath, bootId, boots: BigInt(boots) },
      };
    }
    case 'cancelStep':
      return { $case: 'cancelStep', value: { stepId: message.stepId, reason: message.reason } };
    case 'outcomeAck': {
      const { stepId, verdict } = message;
      return { $case: 'outcomeAck', value: { stepId, verdict: WIRE_VERDICTS[verdict] } };
    }
    case 'inspect':
      return { $case: 'inspect', value: { inspectId: BigInt(message.inspectId) } };
    case 'takeOver': {
      const { revision, waits } = message;
      return { $case: 'takeOver', value: { revision: BigInt(revision), waits } };
    }
  }
};
