import type { Fault } from '../lib/fault.js';
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
  ].join('\n');
