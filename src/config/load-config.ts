import { dirname, resolve } from 'node:path';
import { suggest } from '../lib/suggest.js';
import type { Config } from './config.js';
import { type Layers, layer, type Override } from './layers.js';
import { meaning } from './meaning.js';
import type { ConfigProblem, Path } from './problem.js';
import { CONFIG_FILE_ENVIRONMENT, SETTINGS } from './settings.js';
import { shape } from './shape.js';

export interface ConfigSources {
  /** `--config`; else VMWARDEN_CONFIG; else there is no file, and the defaults hold. */
  readonly configFile?: string | undefined;
  /** Long names without the dashes (`data-dir`) to what was given. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Relative paths of flags and environment start here; those of the file at the file. */
  readonly workingDirectory: string;
  /** `host` when nobody says otherwise. */
  readonly hostName: string;
  /** The whole file as text. Throws Node's file system errors. */
  readonly readFile: (path: string) => string;
}

export type LoadedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      /** null: no file. */
      readonly file: string | null;
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** File < environment < flags, defaulted and checked; all that is wrong at once. Reads one file and touches nothing else. */
export const loadConfig = (sources: ConfigSources): LoadedConfig => {
  const { environment, workingDirectory } = sources;
  const named = sources.configFile ?? said(environment[CONFIG_FILE_ENVIRONMENT]);
  const file = named === undefined ? null : resolve(workingDirectory, named);
  const read = readText(sources, file, named ?? '');
  if ('problem' in read) return { ok: false, problems: [read.problem] };

  const layers = layer(named ?? null, read.text, overridesOf(sources));
  if (!layers.complete) return { ok: false, problems: layers.problems };
  const shaped = shape(layers.value);
  const resolvePath = pathResolver(layers, workingDirectory, file);
  const meant = meaning(layers.value, shaped.ok ? shaped.written : null, {
    resolve: resolvePath,
    hostName: sources.hostName,
  });
  const findings = [...(shaped.ok ? [] : shaped.findings), ...meant.findings];
  if (layers.problems.length > 0 || findings.length > 0 || meant.config === null) {
    const problems = [...layers.problems, ...findings.map(layers.problem)];
    return { ok: false, problems: problems.sort(byPlace) };
  }
  return { ok: true, config: meant.config, file, warnings: misspelt(environment) };
};

/** Lines of the file in their order. */
const byPlace = (a: ConfigProblem, b: ConfigProblem): number =>
  a.place.localeCompare(b.place, 'en', { numeric: true });

/** An empty variable counts as not set. */
const said = (value: string | undefined): string | undefined => (value === '' ? undefined : value);

const overridesOf = ({ environment, flags }: ConfigSources): Override[] => [
  ...SETTINGS.flatMap((setting) => {
    const value = said(environment[setting.environment]);
    return value === undefined
      ? []
      : [{ setting, value, place: `environment ${setting.environment}` }];
  }),
  ...SETTINGS.flatMap((setting) => {
    const value = flags[setting.flag];
    return value === undefined ? [] : [{ setting, value, place: `flag --${setting.flag}` }];
  }),
];

const readText = (
  { readFile, configFile }: ConfigSources,
  file: string | null,
  named: string,
): { readonly text: string | null } | { readonly problem: ConfigProblem } => {
  if (file === null) return { text: null };
  try {
    return { text: readFile(file) };
  } catch (error) {
    const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
    const why = code === 'ENOENT' ? 'there is no such file' : `can't be read: ${code ?? error}`;
    const place =
      configFile === undefined ? `environment ${CONFIG_FILE_ENVIRONMENT}` : 'flag --config';
    return { problem: { place, path: '', message: `${named}: ${why}`, hint: '' } };
  }
};

const pathResolver =
  (layers: Layers, workingDirectory: string, file: string | null) =>
  (path: Path, text: string): string =>
    resolve(layers.fromFile(path) && file !== null ? dirname(file) : workingDirectory, text);

/**
 * Variables that look like one of ours and are none. Only a warning: Kubernetes sets VMWARDEN_PORT and its
 * like by itself for a service that is called vmwarden.
 */
const misspelt = (environment: ConfigSources['environment']): string[] => {
  const known = [...SETTINGS.map((setting) => setting.environment), CONFIG_FILE_ENVIRONMENT];
  return Object.keys(environment)
    .filter((name) => name.startsWith('VMWARDEN_') && !known.includes(name))
    .filter((name) => !/^VMWARDEN_(SERVICE|PORT)(_|$)/.test(name))
    .flatMap((name) => {
      const near = suggest(name, known);
      return near === null ? [] : [`environment ${name} means nothing here; did you mean ${near}?`];
    });
};
