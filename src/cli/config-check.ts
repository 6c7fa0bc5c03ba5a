import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import { readPolicyFile } from '../config/policy-source.js';
import { formatConfigProblem } from '../config/problem.js';
import { safeText } from '../event/guest-text.js';
import { formatProblem, type PolicyProblem } from '../policy/problem.js';
import { addConfigOptions, type ConfigFlags, loadFromFlags } from './config-options.js';
import { previewDiscovery } from './discovery-preview.js';
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
      if (loaded.config.discover.length > 0) {
        const preview = await previewDiscovery(loaded.config, ownUid());
        await printJson(io.stdout, { kind: 'discovery', ...preview });
      }
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
  if (loaded.config.discover.length > 0) await printPreview(io, loaded.config);
  await printLine(io.stdout, `${loaded.file ?? 'defaults'}: good; ${summary(loaded.config)}`);
  return GOOD;
};

/** What `serve` would refuse the policy file for. */
const policyProblems = async ({ policyFile }: Config): Promise<readonly PolicyProblem[]> => {
  if (policyFile === null) return [];
  const parsed = await readPolicyFile(policyFile);
  return parsed.ok ? [] : parsed.problems;
};

const ownUid = (): number => process.getuid?.() ?? 0;

/** Of VMs and of refusals each. */
const MOST_SHOWN = 20;

/** What the patterns match now. Nothing of it is wrong: sockets come and go, and another user may see others. */
const printPreview = async (io: Io, config: Config): Promise<void> => {
  for (const { driver } of config.discover) {
    const { base, segments } = driver.socket;
    await printLine(io.stdout, `discover: ${[base, ...segments].join('/').replace('//', '/')}`);
  }
  const preview = await previewDiscovery(config, ownUid());
  if (preview === null) {
    await printLine(io.stdout, '  looking for sockets took too long; a file system may hang');
    return;
  }
  const { vms, refused, refusedMore } = preview;
  const found = vms.map(({ id, uid, labels, socket }) => {
    const said = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    const about = [...(uid === '' ? [] : [`uid ${uid}`]), ...said];
    return `  VM ${id}${about.length === 0 ? '' : ` (${about.join(', ')})`}: ${safeText(socket, 200)}`;
  });
  const not = refused.map(({ path, reason }) => `  not taken: ${safeText(path, 200)} ${reason}`);
  const lines = [
    ...(found.length === 0 ? [`  no VM's socket is there now for user ${ownUid()}`] : []),
    ...found.slice(0, MOST_SHOWN),
    ...more(found.length - MOST_SHOWN, 'VMs'),
    ...not.slice(0, MOST_SHOWN),
    ...more(not.length - MOST_SHOWN + refusedMore, 'not taken'),
  ];
  for (const line of lines) await printLine(io.stdout, line);
};

const more = (count: number, what: string): string[] =>
  count > 0 ? [`  and ${count} more ${what}`] : [];

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
