import { readPolicyFile } from '../../config/policy-source.js';
import type { Policy } from '../../policy/policy.js';
import { formatProblem } from '../../policy/problem.js';
import { type Io, printJson, printLine } from '../io.js';

/** The file's policy with its text; null after its problems were printed, as `policy check` does. */
export const readPolicy = async (
  io: Io,
  file: string,
  json: boolean,
): Promise<{ readonly policy: Policy; readonly text: string } | null> => {
  const parsed = await readPolicyFile(file);
  if (parsed.ok) return parsed;
  for (const problem of parsed.problems) {
    if (json) await printJson(io.stdout, { kind: 'problem', ...problem });
    else await printLine(io.stderr, formatProblem(problem));
  }
  return null;
};
