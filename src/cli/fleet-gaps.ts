import type { Fleet, HostAudit } from '../fleet/fleet.js';
import { FAILED, GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { styleOf } from './style.js';

/** Checks every host's records in the stream. FAILED when something is missing that no marker names, or can't be read. */
export const fleetGaps = async (
  io: Io,
  fleet: Fleet,
  options: { readonly json?: boolean },
): Promise<number> => {
  const audits = await fleet.audit();
  const style = styleOf(io.stdout, io.env);
  for (const audit of audits) {
    if (options.json === true) {
      await printJson(io.stdout, { ...audit, whole: isWhole(audit) });
      continue;
    }
    const whole = isWhole(audit);
    const name = audit.host === '' ? '(no host named)' : plainText(audit.host);
    const counts = audit.journals
      .map(({ journalId, first, last, records }) => {
        return `${records} records ${first} to ${last} of journal ${plainText(journalId)}`;
      })
      .join(', then ');
    const mark = whole ? style('green', 'whole') : style('red', 'not whole');
    const text = counts === '' ? 'nothing of what it published is left' : counts;
    await printLine(io.stdout, `${style('bold', name)}  ${mark}  ${text}`);
    for (const finding of findingsOf(audit)) {
      await printLine(io.stdout, `  ${style('yellow', plainText(finding))}`);
    }
  }
  if (audits.length === 0 && options.json !== true) {
    await printLine(io.stdout, 'No host has published.');
  }
  return audits.every(isWhole) ? GOOD : FAILED;
};

const isWhole = ({ gaps, unreadable, missingTail }: HostAudit): boolean =>
  gaps.every(({ reason }) => reason !== null) && unreadable === 0 && missingTail === null;

const findingsOf = ({ gaps, repeats, unreadable, missingTail }: HostAudit): string[] => [
  ...gaps.map(({ first, last, journalId, reason }) => {
    const why = reason === null ? 'and nothing says why' : `as a loss marker says: ${reason}`;
    return `records ${first} to ${last} of journal ${journalId} are missing, ${why}`;
  }),
  ...(missingTail === null
    ? []
    : [`records ${missingTail.first} to ${missingTail.last} were published and are missing`]),
  ...(repeats === 0 ? [] : [`${repeats} records stand in the stream again`]),
  ...(unreadable === 0 ? [] : [`${unreadable} entries can't be read`]),
];
