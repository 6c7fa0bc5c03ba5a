import type { CompileCondition } from './condition.js';
import { type ParsedPolicy, parsePolicy } from './parse.js';

let compile: CompileCondition | null = null;

/** `parsePolicy`, with the library of conditions loaded when the first text has one: it is 150 kB of code. */
export const loadPolicy = async (text: string, fileName: string): Promise<ParsedPolicy> => {
  let lacking = false;
  const parsed = parsePolicy(text, fileName, (condition) => {
    if (compile !== null) return compile(condition);
    lacking = true;
    return { ok: false, problems: [] };
  });
  if (!lacking) return parsed;
  ({ compileCondition: compile } = await import('./condition.js'));
  return parsePolicy(text, fileName, compile);
};
