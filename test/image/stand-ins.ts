import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram, partPath } from '../support/parts.js';
import type { ImageStore } from './image-store.js';

const run = promisify(execFile);
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** Where the stand-in for Node's image looks for packages that were fetched before. */
export const NPM_CACHE = '/npm-cache';

/** Names with digests, for the arguments of the Dockerfile. */
export interface StandIns {
  readonly node: string;
  readonly base: string;
}

/**
 * What takes the place of the two base images where no registry is reached: a real Node 24 with this machine's npm and
 * shell, and a base that has the shared libraries which Node wants, a /tmp, and nothing else.
 */
export const makeStandIns = async (store: ImageStore): Promise<StandIns> => {
  const node = partPath('node-24');
  const libraries = await librariesOf(node);

  const base = join(store.dir, 'base');
  await copyAll(base, libraries);
  await mkdir(join(base, 'etc'), { recursive: true });
  await writeFile(
    join(base, 'etc/passwd'),
    'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n',
  );
  await mkdir(join(base, 'tmp'));
  await chmod(join(base, 'tmp'), 0o1777);

  const building = join(store.dir, 'building');
  const tools = ['/bin/sh', '/usr/bin/env'];
  const needed = (await Promise.all(tools.map(librariesOf))).flat();
  await copyAll(building, [...libraries, ...tools, ...needed]);
  await mkdir(join(building, 'tmp'));
  await mkdir(join(building, 'usr/local/bin'), { recursive: true });
  await copyFile(node, join(building, 'usr/local/bin/node'));
  const npm = dirname(dirname(await realpath(findProgram('npm'))));
  await cp(npm, join(building, 'usr/local/lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(building, 'usr/local/bin/npm'));
  const settings: string[] = [];
  if (existsSync(CERTIFICATES)) {
    await copyAll(building, [CERTIFICATES]);
    settings.push('--env', `NODE_EXTRA_CA_CERTS=${CERTIFICATES}`);
  }
  const registry = (await run('npm', ['config', 'get', 'registry'])).stdout.trim();
  settings.push('--env', `npm_config_registry=${registry}`);
  settings.push('--env', `npm_config_cache=${NPM_CACHE}`);

  return {
    node: await store.import('stand-in-node', building, settings),
    base: await store.import('stand-in-base', base),
  };
};

/** Absolute paths of the shared libraries that the program loads, and of the loader. */
const librariesOf = async (program: string): Promise<string[]> => {
  const { stdout } = await run('ldd', [program]);
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
};

/** To the same places below `root`, as plain files. */
const copyAll = async (root: string, paths: readonly string[]): Promise<void> => {
  for (const path of new Set(paths)) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await copyFile(path, join(root, path));
  }
};
