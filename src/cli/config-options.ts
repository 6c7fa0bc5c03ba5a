import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { type LoadedConfig, loadConfig } from '../config/load-config.js';
import { formatConfigProblem } from '../config/problem.js';
import { SETTINGS } from '../config/settings.js';
import { wrongUse } from './error-json.js';
import { type Io, printJson, printLine, WRONG_USE } from './io.js';

/** What commander makes of `--config` and of the flags of SETTINGS. */
export type ConfigFlags = Readonly<Record<string, unknown>>;

/** Adds `--config` and a flag for each setting; or only for those named, where the others have no effect. */
export const addConfigOptions = (command: Command, only?: readonly string[]): Command => {
  command.option('-c, --config <FILE>', 'configuration file (default: none)');
  for (const { flag, placeholder, description } of SETTINGS) {
    if (only === undefined || only.includes(flag)) {
      command.option(`--${flag} <${placeholder}>`, description);
    }
  }
  return command;
};

/** File < environment < flags. */
export const loadFromFlags = (flags: ConfigFlags, io: Pick<Io, 'env' | 'cwd'>): LoadedConfig =>
  loadConfig({
    configFile: text(flags['config']),
    flags: Object.fromEntries(SETTINGS.map(({ flag }) => [flag, text(flags[camelCase(flag)])])),
    environment: io.env,
    workingDirectory: io.cwd(),
    hostName: hostname(),
    readFile: readBounded,
  });

/** The configuration, or the exit code after its problems were printed. */
export const configOrExit = async (
  flags: ConfigFlags,
  io: Io,
): Promise<Extract<LoadedConfig, { ok: true }> | number> => {
  const loaded = loadFromFlags(flags, io);
  if (loaded.ok) return loaded;
  for (const problem of loaded.problems) {
    const text = formatConfigProblem(problem);
    if (flags['json'] === true) await printJson(io.stderr, wrongUse(text, 'INVALID_CONFIG'));
    else await printLine(io.stderr, text);
  }
  return WRONG_USE;
};

const MAX_FILE_BYTES = 1024 * 1024;

/** A path that was mistyped may be a device that never ends. */
const readBounded = (path: string): string => {
  const { size } = statSync(path);
  if (size > MAX_FILE_BYTES) {
    throw Object.assign(new Error('too large'), { code: `larger than ${MAX_FILE_BYTES} bytes` });
  }
  return readFileSync(path, 'utf8');
};

const text = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;

/** As commander names a flag's value. */
const camelCase = (flag: string): string =>
  flag.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase());
