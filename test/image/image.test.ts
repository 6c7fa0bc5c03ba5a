import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { findProgram } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';
import { Container } from './container.js';
import { type ImageConfig, ImageStore } from './image-store.js';
import { describeRootPart } from './root-part.js';
import { makeStandIns, NPM_CACHE, type StandIns } from './stand-ins.js';

const BUILD_MS = 300_000;
const RUN_MS = 120_000;
const USER = 65_532;
const MB = 1_000_000;

describeRootPart(['buildah', 'runc', 'node-24'], 'the image', () => {
  let store: ImageStore;
  let bases: StandIns;
  let image: ImageConfig;
  /** Path of its files. */
  let root = '';

  beforeAll(async () => {
    store = await ImageStore.open();
    bases = await makeStandIns(store);
    await build('vmwarden', bases);
    image = await store.config('vmwarden');
    root = await store.files('vmwarden');
  }, BUILD_MS);

  afterAll(() => store.close(), RUN_MS);

  const build = (name: string, { node, base }: StandIns): Promise<string> => {
    const npmCache = execFileSync(findProgram('npm'), ['config', 'get', 'cache'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const args = { NODE_IMAGE: node, BASE_IMAGE: base, VERSION: '1.2.3' };
    const flags = Object.entries(args).flatMap(([key, value]) => [
      '--build-arg',
      `${key}=${value}`,
    ]);
    return store.build(name, '.', ['--volume', `${npmCache}:${NPM_CACHE}`, ...flags]);
  };

  const start = async (args: readonly string[], dataDir?: string): Promise<Container> => {
    const env = image.config.Env;
    const container = await Container.start({
      root,
      args,
      env,
      ...(dataDir !== undefined && { dataDir }),
    });
    onTestFinished(() => container.remove());
    return container;
  };

  test('runs as nobody in particular, serves by default, and knows how to ask itself', () => {
    const { config } = image;
    expect(config.User).toBe('65532:65532');
    expect([...config.Entrypoint, ...config.Cmd]).toEqual(['/usr/local/bin/vmwarden', 'serve']);
    expect(config.Healthcheck.Test.slice(0, 3)).toEqual([
      'CMD',
      '/usr/local/bin/vmwarden',
      'healthcheck',
    ]);
    expect(Object.keys(config.Volumes)).toEqual(['/var/lib/vmwarden']);
    expect(config.Labels).toMatchObject({
      'org.opencontainers.image.version': '1.2.3',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.base.name': bases.base,
    });
  });

  test('has Node, the bundle and what lmdb loads, and nothing that could be left out', () => {
    const home = join(root, 'opt/vmwarden');
    expect(readdirSync(home).sort()).toEqual([
      'LICENSE',
      'bin',
      'dist',
      'node_modules',
      'package.json',
      'sbom.cdx.json',
    ]);
    expect(readdirSync(join(home, 'node_modules')).sort()).toEqual([
      '@harperfast',
      '@lmdb',
      'detect-libc',
      'lmdb',
      'msgpackr',
      'node-addon-api',
      'node-gyp-build-optional-packages',
      'ordered-binary',
      'weak-lru-cache',
    ]);
    const files = filesBelow(home);
    expect(files.filter((path) => /\.(map|ts|c|cpp|h|md|min\.js)$/.test(path))).toEqual([
      'node_modules/node-addon-api/LICENSE.md',
    ]);
    expect(files.filter((path) => path.endsWith('.node'))).toEqual([
      'node_modules/@lmdb/lmdb-linux-x64/node.napi.glibc.node',
    ]);
    for (const shell of ['bin/sh', 'usr/bin/sh', 'usr/bin/env', 'usr/local/bin/npm']) {
      expect(existsSync(join(root, shell)), shell).toBe(false);
    }
    const size = files.reduce((sum, path) => sum + readFileSync(join(home, path)).length, 0);
    console.log(`the image without Node and its base: ${(size / MB).toFixed(1)} MB`);
    expect(size).toBeLessThan(12 * MB);
  });

  test('only root can change the program, and only the user its data', async () => {
    const owners = await Promise.all(
      ['opt/vmwarden/dist/main.js', 'usr/local/bin/node', 'var/lib/vmwarden'].map(async (path) => {
        const { uid, mode } = await stat(join(root, path));
        return [path, uid, (mode & 0o022) === 0];
      }),
    );
    expect(owners).toEqual([
      ['opt/vmwarden/dist/main.js', 0, true],
      ['usr/local/bin/node', 0, true],
      ['var/lib/vmwarden', USER, true],
    ]);
  });

  test('lists in its bill of materials what the lock file says runs', () => {
    const bill = JSON.parse(readFileSync(join(root, 'opt/vmwarden/sbom.cdx.json'), 'utf8'));
    expect(bill).toMatchObject({
      bomFormat: 'CycloneDX',
      metadata: { component: { name: 'vmwarden', type: 'application' } },
    });
    const listed = new Map<string, string>(
      bill.components.map((part: { name: string; version: string }) => [part.name, part.version]),
    );
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const [name, version] of Object.entries(dependencies)) {
      expect([name, listed.get(name)]).toEqual([name, version]);
    }
    expect(listed.get('node')).toMatch(/^24\./);
    expect([...listed.keys()].filter((name) => /vitest|esbuild|biome/.test(name))).toEqual([]);
    const modules = join(root, 'opt/vmwarden/node_modules');
    for (const path of filesBelow(modules).filter((file) => file.endsWith('/package.json'))) {
      const { name, version } = JSON.parse(readFileSync(join(modules, path), 'utf8'));
      expect([name, listed.get(name)]).toEqual([name, version]);
    }
  });

  test(
    'runs the demo as user 65532 on a read-only root with no capabilities',
    async () => {
      // Its own words about where it runs, so that what follows says what it seems to.
      const script = `
        const { readFileSync, writeFileSync } = require('node:fs');
        const status = readFileSync('/proc/self/status', 'utf8');
        const field = (name) => new RegExp('^' + name + ':\\\\s*(.*)$', 'm').exec(status)[1];
        const told = { uid: process.getuid(), groups: process.getgroups(), node: process.versions.node };
        for (const name of ['CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs']) told[name] = field(name);
        for (const path of ['/x', '/opt/vmwarden/x', '/usr/local/bin/x']) {
          try { writeFileSync(path, ''); told[path] = 'written'; } catch (error) { told[path] = error.code; }
        }
        console.log(JSON.stringify(told));`;
      const inside = await (await start(['/usr/local/bin/node', '-e', script])).ended;
      expect(JSON.parse(inside.output)).toEqual({
        uid: USER,
        groups: [USER],
        node: expect.stringMatching(/^24\./),
        CapEff: '0000000000000000',
        CapPrm: '0000000000000000',
        CapBnd: '0000000000000000',
        NoNewPrivs: '1',
        '/x': 'EROFS',
        '/opt/vmwarden/x': 'EROFS',
        '/usr/local/bin/x': 'EROFS',
      });

      const demo = await (await start([...image.config.Entrypoint, 'demo'])).ended;
      expect(demo.output).toContain('All of it truly happened.');
      expect(demo.code).toBe(0);
    },
    RUN_MS,
  );

  test(
    'serves, answers its own health check, stops at SIGTERM, and goes on with the same journal',
    async () => {
      const data = await mkdtemp(join(tmpdir(), 'vmwarden-data-'));
      onTestFinished(() => rm(data, { recursive: true, force: true }));
      await chown(data, USER, USER);
      const [program = ''] = image.config.Entrypoint;
      const command = [...image.config.Entrypoint, ...image.config.Cmd];
      const check = image.config.Healthcheck.Test.slice(1);

      const first = await start(command, data);
      await waitFor('SERVING', async () => (await first.exec(check)).code === 0, 60_000);
      const report = ['report', '--vm', 'arm-1', '--arch', 'arm64', '--cap', '1'];
      const reported = await first.exec([
        program,
        ...report,
        '--hex',
        '02000000010000000100000000000000',
      ]);
      expect(reported).toMatchObject({ code: 0 });
      const before = JSON.parse((await first.exec([program, 'journal', 'info', '--json'])).output);
      await first.signal('TERM');
      expect(await first.ended).toMatchObject({ code: 0 });
      await first.remove();

      const second = await start(command, data);
      await waitFor('SERVING again', async () => (await second.exec(check)).code === 0, 60_000);
      const after = JSON.parse((await second.exec([program, 'journal', 'info', '--json'])).output);
      expect(after.id).toBe(before.id);
      expect(after.newest).toBeGreaterThanOrEqual(before.newest);
      const events = await second.exec([program, 'events', '--json']);
      expect(events.output).toContain('"vmId":"arm-1"');
    },
    RUN_MS,
  );

  test('is refused on a base that no digest pins', async () => {
    const base = 'localhost/stand-in-base:latest';
    await expect(build('unpinned', { ...bases, base })).rejects.toThrow(
      `the base image ${base} is not pinned; expected NAME@sha256:DIGEST`,
    );
  });
});

describe('the files of an image', () => {
  const assemble = async (arch: string): Promise<string> => {
    const out = await mkdtemp(join(tmpdir(), 'vmwarden-tree-'));
    onTestFinished(() => rm(out, { recursive: true, force: true }));
    await promisify(execFile)(process.execPath, ['scripts/image-tree.mjs', 'assemble', out, arch]);
    return join(out, 'program/opt/vmwarden');
  };

  test(
    'has native code for arm64, whatever machine builds it',
    async () => {
      const home = await assemble('arm64');
      const native = filesBelow(home).filter((path) => path.endsWith('.node'));
      expect(native).toEqual(['node_modules/@lmdb/lmdb-linux-arm64/node.napi.glibc.node']);
      // ELF header: e_machine, at 18, is EM_AARCH64.
      expect(readFileSync(join(home, native[0] ?? '')).readUInt16LE(18)).toBe(183);
    },
    RUN_MS,
  );

  test('are refused for an architecture that there is no native code for', async () => {
    await expect(assemble('s390x')).rejects.toThrow(
      "there is no image for TARGETARCH 's390x'; expected amd64 or arm64",
    );
  });
});

/** Relative paths of all files. */
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
