import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { Config } from '../config/config.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { journalCompact } from './journal-compact.js';
import { journalExport } from './journal-export.js';
import { journalInfo } from './journal-info.js';
import { journalVerify } from './journal-verify.js';

/** Adds `vmwarden journal info|verify|export`, which work while `serve` runs, and `compact`, which doesn't. */
export const addJournalCommand = (program: Command): void => {
  const journal = program.command('journal').description('look into the journal');
  const command = (name: string, description: string): Command =>
    journal.command(name).description(description);
  const withJson = (made: Command): Command => made.option('--json', 'one JSON object a line');

  add<JsonFlag>(
    withJson(command('info', 'tell how old, how large and whose it is')),
    (dir, { json = false }, config) =>
      journalInfo(process, dir, config.journal.reserveBytes, { json }),
  );
  add<JsonFlag>(
    withJson(command('verify', 'walk through everything in it, and name what is wrong')),
    (dir, { json = false }) => journalVerify(process, dir, { json }),
  );
  add<{ readonly after: number; readonly bytes?: boolean }>(
    command('export', 'print all records, one JSON object a line')
      .option('--after <SEQUENCE>', 'only records behind this one', sequenceOf, 0)
      .option('--bytes', 'with each record as it is kept: a protobuf message in base64'),
    (dir, { after, bytes = false }) => journalExport(process, dir, { after, bytes }),
  );
  add<JsonFlag & { readonly keep?: boolean }>(
    withJson(
      command('compact', 'make its file as small as what is live, while nobody serves'),
    ).option('--keep', 'leave the old file beside it, as data.mdb.before-compact'),
    (dir, { json = false, keep = false }) =>
      journalCompact(process, dir, { json, keep, pid: process.pid }),
  );
};

interface JsonFlag {
  readonly json?: boolean;
}

const add = <Flags extends object>(
  command: Command,
  run: (dir: string, flags: Flags, config: Config) => Promise<number>,
): void => {
  addConfigOptions(command, ['data-dir']).action(async (flags: ConfigFlags & Flags) => {
    const loaded = await configOrExit(flags, process);
    process.exitCode =
      typeof loaded === 'number'
        ? loaded
        : await run(join(loaded.config.dataDir, 'journal'), flags, loaded.config);
  });
};

const sequenceOf = (text: string): number => {
  const sequence = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(sequence)) return sequence;
  throw new InvalidArgumentError('Expected a sequence: a whole number.');
};
