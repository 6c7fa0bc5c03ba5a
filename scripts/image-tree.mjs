// What the container image holds besides Node and its base (see Dockerfile): run in a build stage, after `npm ci` and the
// bundling. The bundle has all packages in it but lmdb, so of node_modules only what lmdb loads goes in.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Where the program is in the image. */
const HOME = 'opt/vmwarden';
const NODE = '/usr/local/bin/node';
/** The packages that the bundle loads at run time; `external` of scripts/build.mjs without what nothing reaches. */
const EXTERNALS = ['lmdb'];
/** An image's word for an architecture → npm's. */
const CPUS = new Map([
  ['amd64', 'x64'],
  ['arm64', 'arm64'],
]);

/** @param {readonly string[]} bases */
function checkBases(bases) {
  for (const base of bases) {
    if (/@sha256:[0-9a-f]{64}$/.test(base)) continue;
    throw new Error(
      `the base image ${base === '' ? 'without a name' : base} is not pinned; expected NAME@sha256:DIGEST ` +
        '(docker buildx imagetools inspect NAME prints it)',
    );
  }
}

/**
 * Writes OUT/program, which goes to / of the image, and OUT/data, the empty data directory.
 *
 * @param {string} out
 * @param {string} arch of the image: amd64 or arm64
 */
function assemble(out, arch) {
  const cpu = CPUS.get(arch);
  if (cpu === undefined) {
    throw new Error(
      `there is no image for TARGETARCH '${arch}'; expected ${[...CPUS.keys()].join(' or ')}`,
    );
  }
  const home = join(out, 'program', HOME);
  mkdirSync(join(out, 'data'), { recursive: true, mode: 0o700 });
  copyProgram(home);
  mkdirSync(join(out, 'program/usr/local/bin'), { recursive: true });
  symlinkSync(`/${HOME}/bin/vmwarden.js`, join(out, 'program/usr/local/bin/vmwarden'));

  const installed = mkdtempSync(join(tmpdir(), 'vmwarden-image-'));
  try {
    installFor(cpu, installed);
    for (const name of closureOf(installed, EXTERNALS)) copyPackage(installed, name, home);
    writeFileSync(join(home, 'sbom.cdx.json'), billOfMaterials(installed));
  } finally {
    rmSync(installed, { recursive: true, force: true });
  }
}

/** @param {string} home */
function copyProgram(home) {
  mkdirSync(join(home, 'bin'), { recursive: true });
  // The base has no /usr/bin/env.
  const launcher = readFileSync(join(root, 'bin/vmwarden.js'), 'utf8');
  writeFileSync(join(home, 'bin/vmwarden.js'), launcher.replace(/^#!.*/, `#!${NODE}`), {
    mode: 0o755,
  });
  cpSync(join(root, 'dist'), join(home, 'dist'), {
    recursive: true,
    filter: (path) => !/\/(types|\.built)$/.test(path),
  });
  for (const file of ['package.json', 'LICENSE']) cpSync(join(root, file), join(home, file));
}

/**
 * As locked, for that processor, whichever this one is; no package's script runs.
 *
 * @param {string} cpu
 * @param {string} installed
 */
function installFor(cpu, installed) {
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
    cpSync(join(root, file), join(installed, file));
  }
  const flags = ['--omit=dev', '--ignore-scripts', '--os=linux', `--cpu=${cpu}`, '--libc=glibc'];
  npm(installed, ['ci', ...flags]);
}

/**
 * Names of the packages and of all that they load. Optional ones only where they are the package's own native code.
 *
 * @param {string} installed
 * @param {readonly string[]} names
 * @returns {Set<string>}
 */
function closureOf(installed, names) {
  /** @type {Set<string>} */
  const found = new Set();
  const take = (/** @type {string} */ name) => {
    if (found.has(name)) return;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = manifest(installed, name);
    const native = Object.keys(optionalDependencies).filter(
      (optional) => optional.startsWith(`@${name}/`) && isInstalled(installed, optional),
    );
    for (const needed of [...Object.keys(dependencies), ...native]) take(needed);
  };
  for (const name of names) take(name);
  return found;
}

/** Files that a running program loads, and licences. Of native code: for glibc and any Node (Node-API). */
const RUNS = new Set(['.js', '.cjs', '.mjs', '.json']);

/**
 * @param {string} installed
 * @param {string} name
 * @param {string} home
 */
function copyPackage(installed, name, home) {
  const from = join(installed, 'node_modules', name);
  const to = join(home, 'node_modules', name);
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(from.length + 1);
    const runs =
      RUNS.has(extname(path)) || path.endsWith('.napi.glibc.node') || /^LICEN[CS]E/i.test(path);
    const aside = /(^|\/)(\.[^/]+|tests?|src|bin|tools|dependencies|[^/]*\.(config|min)\.js)(\/|$)/;
    if (entry.isFile() && runs && !aside.test(path)) {
      cpSync(join(from, path), join(to, path), { recursive: true });
    }
  }
}

/**
 * CycloneDX of what the lock file says runs on this kind of machine, bundled or not, with the Node that is copied.
 *
 * @param {string} installed
 */
function billOfMaterials(installed) {
  // `npm sbom --omit=dev` leaves out what development needs, too (npm 11): so it gets a lock file without that.
  const lock = JSON.parse(readFileSync(join(installed, 'package-lock.json'), 'utf8'));
  const project = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  for (const described of [project, lock.packages['']]) delete described.devDependencies;
  lock.packages = Object.fromEntries(
    Object.entries(lock.packages).filter(
      ([path, { dev }]) => path === '' || (dev !== true && existsSync(join(installed, path))),
    ),
  );
  writeFileSync(join(installed, 'package-lock.json'), JSON.stringify(lock));
  writeFileSync(join(installed, 'package.json'), JSON.stringify(project));

  const flags = ['--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
  const bill = JSON.parse(npm(installed, ['sbom', ...flags]));
  bill.metadata.component.name = project.name;
  const version = process.versions.node;
  bill.components.push({
    type: 'platform',
    'bom-ref': `node@${version}`,
    name: 'node',
    version,
    purl: `pkg:generic/node@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
  });
  return `${JSON.stringify(bill, null, 1)}\n`;
}

/** @param {string} installed @param {string} name */
function manifest(installed, name) {
  return JSON.parse(readFileSync(join(installed, 'node_modules', name, 'package.json'), 'utf8'));
}

/** @param {string} installed @param {string} name */
function isInstalled(installed, name) {
  return existsSync(join(installed, 'node_modules', name, 'package.json'));
}

/** @param {string} cwd @param {readonly string[]} args */
function npm(cwd, args) {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const [command = '', ...args] = process.argv.slice(2);
try {
  if (command === 'check-bases') checkBases(args);
  else if (command === 'assemble') assemble(args[0] ?? '', args[1] ?? '');
  else throw new Error(`unknown command '${command}'; expected check-bases or assemble`);
} catch (error) {
  console.error(`image: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
