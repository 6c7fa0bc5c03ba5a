import type { EventType } from './event-type.js';
import { escapeText } from './guest-text.js';
import type { SystemEvent } from './system-event.js';

/** Bytes kept of a VMM's own word, and of the text that came with it. */
const MAX_WORD_BYTES = 64;
const MAX_TEXT_BYTES = 1024;
/** Words kept: the kernel's own record has no more (Hyper-V leaves five). */
const MAX_ARGUMENTS = 16;

export interface VmmEventFacts {
  /** The VMM's own word: guest-panic, guest-shutdown, internal-error, ... */
  readonly reason: string;
  /** What the VMM did about it by itself: pause, poweroff, reset, run, ... Default: it did not say. */
  readonly action?: string;
  /** Words that the guest left (Hyper-V crash parameters), in order; 16 at most are kept. */
  readonly arguments?: readonly bigint[];
  /** Text of the guest or the VMM; made safe and cut at 1024 bytes here. */
  readonly text?: string | Uint8Array;
}

/**
 * An event that a VMM consumed and told of: no raw type, no words of the kernel, no capability.
 * Whatever text is given is bounded and escaped here; where that changed the guest's text the event is
 * marked MESSAGE_SANITIZED.
 */
export const vmmEvent = (type: EventType, facts: VmmEventFacts): SystemEvent => {
  const text = escapeText(facts.text ?? '', MAX_TEXT_BYTES);
  return {
    type,
    rawType: null,
    data: [],
    detail: {
      kind: 'vmm',
      reason: escapeText(facts.reason, MAX_WORD_BYTES).text,
      action: escapeText(facts.action ?? '', MAX_WORD_BYTES).text,
      arguments: (facts.arguments ?? [])
        .slice(0, MAX_ARGUMENTS)
        .map((word) => BigInt.asUintN(64, word)),
      text: text.text,
    },
    anomalies: text.changed ? ['MESSAGE_SANITIZED'] : [],
    capability: 'notStated',
    arch: '',
  };
};
