import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import { readPolicyFile } from '../config/policy-source.js';
import { formatConfigProblem } from '../config/problem.js';
import { formatProblem, type PolicyProblem } from '../policy/problem.js';
import { addConfigOptions, type ConfigFlags, loadFromFlags } from './config-options.js';
import { FAILED, GOOD, type Io, printJson, printLine } from './io.js';

/** `vmwarden config check`: 0 when `serve` would take this configuration and its policy, else 1 with all that is wrong. */
export const configCheck = async (
  io: Io,
  flags: ConfigFlags & { readonly json?: boolean },
): Promise<number> => {
  const loaded = loadFromFlags(flags, io);
  if (flags.json === true) {
    if (loaded.ok) {
      const broken = await policyProblems(loaded.config);
      for (const problem of broken) await printJson(io.stdout, { kind: 'problem', ...problem });
      await printJson(io.stdout, { kind: 'result', ...loaded, ok: broken.length === 0 });
      return broken.length === 0 ? GOOD : FAILED;
    }
    for (const problem of loaded.problems) {
      await printJson(io.stdout, { kind: 'problem', ...problem });
    }
    await printJson(io.stdout, { kind: 'result', ok: false });
    return FAILED;
  }
  if (!loaded.ok) {
    for (const problem of loaded.problems) await printLine(io.stdout, formatConfigProblem(problem));
    return FAILED;
  }
  for (const warning of loaded.warnings) await printLine(io.stdout, `warning: ${warning}`);
  const broken = await policyProblems(loaded.config);
  for (const problem of broken) await printLine(io.stdout, formatProblem(problem));
  if (broken.length > 0) return FAILED;
  await printLine(io.stdout, `${loaded.file ?? 'defaults'}: good; ${summary(loaded.config)}`);
  return GOOD;
};

/** What `serve` would refuse the policy file for. */
const policyProblems = async ({ policyFile }: Config): Promise<readonly PolicyProblem[]> => {
  if (policyFile === null) return [];
  const parsed = await readPolicyFile(policyFile);
  return parsed.ok ? [] : parsed.problems;
};

const summary = ({ vms, dataDir, socket, policyFile }: Config): string =>
  [
    `VMs: ${vms.length}`,
    `data in ${dataDir}`,
    `gRPC on ${socket}`,
    policyFile === null ? 'no policy file, so observe only' : `policy ${policyFile}`,
  ].join(', ');

/** Adds `vmwarden config check`. */
export const addConfigCommand = (program: Command): void => {
  const config = program.command('config').description('check the configuration');
  addConfigOptions(
    config
      .command('check')
      .description('tell everything that is wrong with the configuration')
      .option('--json', 'one JSON object a line'),
  ).action(async (flags: ConfigFlags) => {
    process.exitCode = await configCheck(process, flags);
  });
};
