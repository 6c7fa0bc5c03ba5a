import { readPolicyFile } from '../../config/policy-source.js';
import type { Policy } from '../../policy/policy.js';
import type { PolicyProblem, PolicyWarning } from '../../policy/problem.js';
import { FAILED, GOOD, type Io, printJson, printLine } from '../io.js';
import { type Style, styleOf } from '../style.js';

/** Sentences on what the configured VMs' drivers can't do of a policy. */
export type VmWarnings = (policy: Policy) => readonly string[];

/** Prints everything that is wrong with the files: 0 when nothing is (warnings are allowed), else 1. */
export const policyCheck = async (
  io: Io,
  files: readonly string[],
  options: { readonly json?: boolean },
  vmWarnings: VmWarnings = () => [],
): Promise<number> => {
  let good = true;
  for (const file of files) {
    const ok =
      options.json === true
        ? await checkJson(io, file, vmWarnings)
        : await checkText(io, file, vmWarnings);
    good = good && ok;
  }
  return good ? GOOD : FAILED;
};

const checkText = async (io: Io, file: string, vmWarnings: VmWarnings): Promise<boolean> => {
  const style = styleOf(io.stdout, io.env);
  const parsed = await readPolicyFile(file);
  const found = parsed.ok ? parsed.warnings : parsed.problems;
  for (const one of found) await printLine(io.stdout, problemLine(one, style));
  const ofVms = parsed.ok ? vmWarnings(parsed.policy) : [];
  for (const sentence of ofVms) {
    await printLine(io.stdout, `${file}: ${style('yellow', 'warning')}: ${sentence}`);
  }
  const count = found.length + ofVms.length;
  const kind = parsed.ok ? 'warning' : 'problem';
  const counted = count === 0 ? '' : `, ${count} ${kind}${count === 1 ? '' : 's'}`;
  await printLine(
    io.stdout,
    parsed.ok
      ? `${file}: ${style('green', 'good')}${counted}; ${summary(parsed.policy)}`
      : `${file}: ${style('red', 'not good')}${counted}`,
  );
  return parsed.ok;
};

const checkJson = async (io: Io, file: string, vmWarnings: VmWarnings): Promise<boolean> => {
  const parsed = await readPolicyFile(file);
  const kind = parsed.ok ? 'warning' : 'problem';
  for (const one of parsed.ok ? parsed.warnings : parsed.problems) {
    await printJson(io.stdout, { kind, ...one });
  }
  for (const message of parsed.ok ? vmWarnings(parsed.policy) : []) {
    await printJson(io.stdout, { kind: 'vmWarning', file, message });
  }
  const about = parsed.ok ? { name: parsed.policy.name, hash: parsed.policy.hash } : {};
  await printJson(io.stdout, { kind: 'result', ok: parsed.ok, file, ...about });
  return parsed.ok;
};

/** As `formatProblem` has it, so that an editor finds the place, with colours on a terminal. */
const problemLine = (one: PolicyProblem | PolicyWarning, style: Style): string => {
  const place = style('bold', `${one.file}:${one.line}:${one.column}:`);
  const id = style(one.id.startsWith('VW-W') ? 'yellow' : 'red', one.id);
  const path = one.path === '' ? '' : ` ${one.path}:`;
  const hint = one.hint === '' ? '' : style('dim', ` (${one.hint})`);
  return `${place} ${id}${path} ${one.message}${hint}`;
};

const summary = ({ name, mode, rules, budgets }: Policy): string =>
  `policy ${name}, mode ${mode}, rules: ${rules.length}, budgets: ${Object.keys(budgets).length}`;
