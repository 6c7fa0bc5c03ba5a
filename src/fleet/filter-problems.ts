import type { Violation } from '../lib/fault.js';
import type { Filter, RecordKind } from './fleet.js';

/** A compiler error here: the kinds of a record have changed. */
const KINDS: Readonly<Record<RecordKind, true>> = {
  event: true,
  decision: true,
  step: true,
  vm: true,
  policy: true,
  operator: true,
  loss: true,
  host: true,
};
export const RECORD_KINDS: readonly string[] = Object.keys(KINDS);

/** A misspelt kind would be a filter that leaves nothing, and have everything acked unseen. */
export const filterProblems = (filter: Filter): Violation[] => {
  if (typeof filter !== 'object' || filter === null) {
    return [violation('filter', filter, 'an object of hosts, vms and kinds')];
  }
  return Object.entries(filter).flatMap(([name, list]: [string, unknown]): Violation[] => {
    const field = `filter.${name}`;
    if (!['hosts', 'vms', 'kinds'].includes(name)) {
      return [violation(field, list, 'hosts, vms or kinds')];
    }
    if (list === undefined) return [];
    if (!Array.isArray(list)) return [violation(field, list, 'an array of strings')];
    return list.flatMap((value: unknown, index) => {
      const isGood = name === 'kinds' ? RECORD_KINDS.includes(String(value)) : isText(value);
      const expected = name === 'kinds' ? `one of ${RECORD_KINDS.join(', ')}` : 'a string';
      return isGood ? [] : [violation(`${field}[${index}]`, value, expected)];
    });
  });
};

const isText = (value: unknown): boolean => typeof value === 'string';

const violation = (field: string, value: unknown, expected: string): Violation => ({
  field,
  value: (JSON.stringify(value) ?? 'absent').slice(0, 200),
  expected,
});
