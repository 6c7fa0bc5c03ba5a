import type { Path } from './problem.js';
import { PROBLEMS } from './problem.js';
import { isRecord, type Report, valueAt } from './shape.js';

const LATER = 'not supported in this version';

/**
 * Refuses what the file format has and this version doesn't carry out. Works on the raw value, so that it
 * speaks up also where something else is wrong. Rather no policy than one that does half of what it says.
 */
export const reportUnsupported = (root: unknown, report: Report): void => {
  const refuse = (path: Path, what: string, hint: string): void =>
    report(PROBLEMS.unsupported, path, `${what} is ${LATER}`, hint, 'key');

  const steps = (path: Path): void => {
    const list = valueAt(root, path);
    if (!Array.isArray(list)) return;
    for (const [index, step] of list.entries()) {
      const here = [...path, index];
      if (step === 'nmi') refuse(here, 'the step nmi', 'leave it out');
      if (!isRecord(step)) continue;
      if ('nmi' in step) refuse([...here, 'nmi'], 'the step nmi', 'leave it out');
      if ('await' in step) {
        refuse([...here, 'await'], 'the step await', 'answer the event itself, or [notify]');
        steps([...here, 'await', 'otherwise']);
      }
      if (valueAt(step, ['restart', 'in']) === 'process') {
        refuse([...here, 'restart', 'in'], 'restart in: process', 'use [powerOff] or [hold]');
      }
    }
  };

  if (valueAt(root, ['spec', 'safety', 'storm']) !== undefined) {
    refuse(['spec', 'safety', 'storm'], 'the storm guard', 'leave it out');
  }
  const rules = valueAt(root, ['spec', 'rules']);
  for (const index of Array.isArray(rules) ? rules.keys() : []) {
    const rule = ['spec', 'rules', index];
    for (const key of ['when', 'vms']) {
      if (valueAt(root, [...rule, key]) === undefined) continue;
      refuse([...rule, key], `"${key}"`, 'match by on, initiator, origin and anomaly');
    }
    steps([...rule, 'do']);
    steps([...rule, 'exhausted']);
  }
  steps(['spec', 'otherwise']);
};
