import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { journalInfo } from './journal-info.js';
import { journalVerify } from './journal-verify.js';

/** Adds `vmwarden journal info` and `vmwarden journal verify`. Both work while `serve` runs. */
export const addJournalCommand = (program: Command): void => {
  const journal = program.command('journal').description('look into the journal');
  add(journal, 'info', 'tell how old, how large and whose it is', (dir, config, json) =>
    journalInfo(process, dir, config.journal.reserveBytes, { json }),
  );
  add(journal, 'verify', 'walk through everything in it, and name what is wrong', (dir, _, json) =>
    journalVerify(process, dir, { json }),
  );
};

const add = (
  journal: Command,
  name: string,
  description: string,
  run: (dir: string, config: Config, json: boolean) => Promise<number>,
): void => {
  const command = journal
    .command(name)
    .description(description)
    .option('--json', 'one JSON object a line');
  addConfigOptions(command, ['data-dir']).action(
    async (flags: ConfigFlags & { readonly json?: boolean }) => {
      const loaded = await configOrExit(flags, process);
      process.exitCode =
        typeof loaded === 'number'
          ? loaded
          : await run(join(loaded.config.dataDir, 'journal'), loaded.config, flags.json === true);
    },
  );
};
