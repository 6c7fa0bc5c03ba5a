import type { Mark } from './host-progress.js';

/** A mark as a field of the group's hash: `<host>/<journal id>` → `<through>` or `<through>:<ahead>,<ahead>`. */
export const markToText = (host: string, journalId: string, mark: Mark): [string, string] => [
  `${host}/${journalId}`,
  mark.ahead.length === 0 ? String(mark.through) : `${mark.through}:${mark.ahead.join(',')}`,
];

/** null: not a mark. A host's name holds no slash. */
export const markFromText = (
  field: string,
  value: string,
): { host: string; journalId: string; mark: Mark } | null => {
  const slash = field.indexOf('/');
  const match = /^(\d{1,16})(?::(\d{1,16}(?:,\d{1,16})*))?$/.exec(value);
  if (slash < 1 || match === null) return null;
  const ahead = match[2] === undefined ? [] : match[2].split(',').map(Number);
  const mark = { through: Number(match[1]), ahead };
  return { host: field.slice(0, slash), journalId: field.slice(slash + 1), mark };
};
