import type { Command } from 'commander';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import type { Place } from './policy/simulation.js';
import { sinceOf } from './policy/since.js';

/** Adds `vmwarden policy ...`. Exit codes: 0 good, 1 failed (a problem in a file, a case that fails), 2 wrong use. */
export const addPolicyCommand = (program: Command): void => {
  const policy = program
    .command('policy')
    .description('write, check, test and try out the policy file');

  policy
    .command('init')
    .description('write a commented policy that is safe to start with')
    .argument('[file]', 'where to; "-" for standard output', 'policy.yaml')
    .option('--force', 'write over a file that is there')
    .option('--json', 'one JSON object a line')
    .action(async (file: string, options: { force?: boolean; json?: boolean }) => {
      const { policyInit } = await import('./policy/init.js');
      process.exitCode = await policyInit(process, file, options);
    });

  policy
    .command('schema')
    .description('print the JSON Schema of the policy file')
    .action(async () => {
      const { schemaText } = await import('./policy/init.js');
      process.stdout.write(schemaText());
      process.exitCode = 0;
    });

  policy
    .command('check')
    .description('tell everything that is wrong with policy files')
    .argument('<file...>')
    .option('-c, --config <FILE>', 'tell also what the VMs of this configuration can not do')
    .option('--json', 'one JSON object a line')
    .action(async (files: string[], options: ConfigFlags & { json?: boolean }) => {
      const { policyCheck } = await import('./policy/check.js');
      if (options['config'] === undefined) {
        process.exitCode = await policyCheck(process, files, options);
        return;
      }
      const loaded = await configOrExit(options, process);
      if (typeof loaded === 'number') {
        process.exitCode = loaded;
        return;
      }
      const { vmWarnings } = await import('./policy/vm-warnings.js');
      process.exitCode = await policyCheck(process, files, options, vmWarnings(loaded.config));
    });

  policy
    .command('test')
    .description("run an operator's own cases against a policy")
    .argument('<file>')
    .argument('<cases>')
    .option('--json', 'one JSON object a line')
    .action(async (file: string, cases: string, options: { json?: boolean }) => {
      const { policyTest } = await import('./policy/test.js');
      process.exitCode = await policyTest(process, file, cases, options);
    });

  addConfigOptions(
    policy
      .command('simulate')
      .description('tell what a policy would have done, by the journal')
      .argument('<file>')
      .option('--since <SINCE>', 'tell of events since 7d, 24h, ... or an ISO time', sinceOf)
      .option('--vm <ID...>', 'tell of these VMs only')
      .option('--decisions', 'print each decision')
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action(async (file: string, flags: ConfigFlags & { json?: boolean }) => {
    const place = await placeOrExit(flags);
    if (place === null) return;
    const { policySimulate } = await import('./policy/simulate.js');
    process.exitCode = await policySimulate(process, place, file, flags);
  });

  addConfigOptions(
    policy
      .command('diff')
      .description('tell which decisions differ between two policies, by the journal')
      .argument('<old>')
      .argument('<new>')
      .option('--since <SINCE>', 'tell of events since 7d, 24h, ... or an ISO time', sinceOf)
      .option('--vm <ID...>', 'tell of these VMs only')
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action(async (before: string, after: string, flags: ConfigFlags & { json?: boolean }) => {
    const place = await placeOrExit(flags);
    if (place === null) return;
    const { policyDiff } = await import('./policy/diff.js');
    process.exitCode = await policyDiff(process, place, [before, after], flags);
  });
};

/** null: the configuration is broken, which was told. */
const placeOrExit = async (flags: ConfigFlags): Promise<Place | null> => {
  const loaded = await configOrExit(flags, process);
  if (typeof loaded !== 'number') {
    const { socket, dataDir, vms } = loaded.config;
    return { socket, dataDir, labels: new Map(vms.map(({ id, labels }) => [id, labels])) };
  }
  process.exitCode = loaded;
  return null;
};
