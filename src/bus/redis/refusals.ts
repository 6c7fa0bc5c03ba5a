import { sayDuration } from '../../lib/duration.js';
import { Fault } from '../../lib/fault.js';
import { parseAlive } from './keys.js';

/** Redis says what no vmwarden wrote. */
export const strange = (key: string, host: string, value: string): Fault => {
  const text = `field ${host} of ${key} is ${JSON.stringify(value.slice(0, 100))}; expected <journal id>:<sequence>. HDEL it, and the host publishes again all that its journal has`;
  return new Fault('FAILED_PRECONDITION', 'BUS_MISUSED', text);
};

/** `text`: the other one, as `ALIVE` answers it. */
export const twin = (host: string, journalId: string, text: string, silentMs: number): Fault => {
  const other = parseAlive(text);
  const which =
    other === null
      ? 'another process'
      : other.journalId === journalId
        ? `a process over a copy of our journal (${other.instance})`
        : `a process over journal ${other.journalId} (${other.instance})`;
  const message =
    `${which} uses the name ${host} too, so neither publishes. Give each host a name of its own; ` +
    `one that was killed counts as gone after ${sayDuration(silentMs)} of silence`;
  return new Fault('FAILED_PRECONDITION', 'BUS_TWIN', message, {
    metadata: { host, ...(other !== null && { journalId: other.journalId }) },
  });
};
