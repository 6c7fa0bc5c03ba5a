import type { CompileCondition } from './condition.js';
import { MAX_CONDITION } from './document.js';
import type { Path } from './problem.js';
import { valueAt } from './shape.js';
import type { Tree } from './yaml-tree.js';

/** Tells what is wrong with the conditions of a file; `offset` counts within the expression. */
export const reportConditions = (
  { value }: Pick<Tree, 'value'>,
  compile: CompileCondition,
  tell: (path: Path, offset: number, message: string, hint: string) => void,
): void => {
  const rules = valueAt(value, ['spec', 'rules']);
  for (const index of Array.isArray(rules) ? rules.keys() : []) {
    const path = ['spec', 'rules', index, 'when'];
    const text = valueAt(value, path);
    // Of another type, or longer than a condition may be: the shape is told.
    if (typeof text !== 'string' || text.length === 0 || text.length > MAX_CONDITION) continue;
    const compiled = compile(text);
    if (compiled.ok) continue;
    for (const { offset, message, hint } of compiled.problems) tell(path, offset, message, hint);
  }
};
