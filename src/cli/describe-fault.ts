import type { Fault } from '../lib/fault.js';
import { REASONS } from '../server/reasons.js';
import { plainText } from './plain-text.js';

/** For a person: the message, its stable reason, and each field that is wrong on a line of its own. */
export const describeFault = ({ message, reason, detail }: Fault): string =>
  [
    `${plainText(message)} (${plainText(reason)})`,
    ...(detail.violations ?? []).map(({ field, value, expected }) => {
      const got = value === undefined ? '' : `got ${value}, `;
      const wanted = expected.startsWith('got ') ? expected : `${got}expected ${expected}`;
      return `  ${plainText(field)}: ${plainText(wanted)}`;
    }),
    ...(remedyOf(reason) === null ? [] : [`  What to do: ${remedyOf(reason)}.`]),
  ].join('\n');

/** null: there is nothing to do, or nothing that is not in the message. */
const remedyOf = (reason: string): string | null => {
  const remedy = Object.hasOwn(REASONS, reason) ? REASONS[reason]?.remedy : undefined;
  return remedy === undefined ||
    remedy === 'nothing' ||
    reason === 'INVALID_FIELDS' ||
    reason === 'MISSING_CONTEXT'
    ? null
    : remedy;
};
