import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { readPolicyFile } from '../config/policy-source.js';
import { DEFAULT_POLICY } from '../policy/default-policy.js';
import type { Policy } from '../policy/policy.js';
import { formatProblem } from '../policy/problem.js';

/** Adds `vmwarden policy init|check`. Exit code: 0 good, 1 failed (a problem in the file), 2 wrong use. */
export const addPolicyCommand = (program: Command): void => {
  const policy = program.command('policy').description('write and check the policy file');

  policy
    .command('init')
    .description('write a commented policy that is safe to start with')
    .argument('[file]', 'where to; "-" for standard output', 'policy.yaml')
    .option('--force', 'write over a file that is there')
    .option('--json', 'one JSON object a line')
    .action(async (file: string, options: { force?: boolean; json?: boolean }) => {
      process.exitCode = await init(file, options.force === true, options.json === true);
    });

  policy
    .command('check')
    .description('tell everything that is wrong with a policy file')
    .argument('<file>')
    .option('--json', 'one JSON object a line')
    .action(async (file: string, options: { json?: boolean }) => {
      process.exitCode = await check(file, options.json === true);
    });
};

const init = async (file: string, force: boolean, json: boolean): Promise<number> => {
  if (file === '-') {
    process.stdout.write(DEFAULT_POLICY);
    return 0;
  }
  const result = (ok: boolean, message: string): number => {
    print(json ? JSON.stringify({ kind: 'result', ok, file, message }) : message);
    return ok ? 0 : 1;
  };
  try {
    await writeFile(file, DEFAULT_POLICY, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EEXIST'
      ? result(false, `${file} is there already; --force writes over it`)
      : result(false, `${file} can't be written: ${code ?? String(error)}`);
  }
  return result(true, `wrote ${file}; next: vmwarden policy check ${file}`);
};

const check = async (file: string, json: boolean): Promise<number> => {
  const parsed = await readPolicyFile(file);
  const found = parsed.ok ? parsed.warnings : parsed.problems;
  const kind = parsed.ok ? 'warning' : 'problem';
  for (const one of found) print(json ? JSON.stringify({ kind, ...one }) : formatProblem(one));
  if (json) {
    const about = parsed.ok ? { name: parsed.policy.name, hash: parsed.policy.hash } : {};
    print(JSON.stringify({ kind: 'result', ok: parsed.ok, file, ...about }));
  } else {
    const count =
      found.length === 0 ? '' : `, ${found.length} ${kind}${found.length === 1 ? '' : 's'}`;
    print(
      parsed.ok ? `${file}: good${count}; ${summary(parsed.policy)}` : `${file}: not good${count}`,
    );
  }
  return parsed.ok ? 0 : 1;
};

const summary = ({ name, mode, rules, budgets }: Policy): string =>
  `policy ${name}, mode ${mode}, rules: ${rules.length}, budgets: ${Object.keys(budgets).length}`;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
