import { chmod, chown, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DiscoverConfig } from '../../src/config/config.js';
import { scanSockets } from '../../src/discovery/scan.js';
import { checkSocket, trustedOwners } from '../../src/discovery/trust.js';
import { parsePathTemplate } from '../../src/lib/path-template.js';
import { RELEASE, tempDir } from '../support/qemu-rig.js';

const OWN = process.getuid?.() ?? 0;
const STRANGER = 4_242;

const pattern = (socket: string, changes: Partial<DiscoverConfig> = {}): DiscoverConfig => {
  const parsed = parsePathTemplate(socket);
  if (!parsed.ok) throw new Error(parsed.expected);
  return {
    driver: { kind: 'qemu', socket: parsed.template },
    id: '{id}',
    uid: '',
    labels: {},
    takeOver: false,
    release: RELEASE,
    owners: [],
    retireAfterMs: 60_000,
    ...changes,
  };
};

const listen = async (path: string): Promise<void> => {
  const server = net.createServer();
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  onTestFinished(() => void server.close());
};

const scan = (patterns: readonly DiscoverConfig[], maxNames?: number) =>
  scanSockets(patterns, { ownUid: OWN, ...(maxNames !== undefined && { maxNames }) });

describe('a scan', () => {
  test('finds sockets, their parts, and the directories where more may come', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'web', 'a'), { recursive: true });
    await mkdir(join(dir, 'web', 'b'));
    await mkdir(join(dir, '.secret', 'c'), { recursive: true });
    await listen(join(dir, 'web', 'a', 'qmp'));
    await listen(join(dir, '.secret', 'c', 'qmp'));
    await writeFile(join(dir, 'web', 'b', 'qmp'), 'no socket');
    await writeFile(join(dir, 'log'), '');
    const found = await scan([pattern(`${dir}/{tier}/{id}/qmp`), pattern(`${dir}/*/{id}/qmp`)]);
    expect(found.candidates.map(({ path, parts }) => [path, parts])).toEqual([
      [join(dir, 'web', 'a', 'qmp'), { tier: 'web', id: 'a' }],
    ]);
    expect(found).toMatchObject({ refused: [], whole: true });
    expect([...found.directories.keys()].sort()).toEqual(
      [dir, join(dir, 'web'), join(dir, 'web', 'a'), join(dir, 'web', 'b')].sort(),
    );
  });

  test('tells a socket from the one before it at its path', async () => {
    const dir = await tempDir();
    await listen(join(dir, 'one'));
    await listen(join(dir, 'new'));
    const first = await scan([pattern(`${dir}/{id}`)]);
    await rename(join(dir, 'new'), join(dir, 'one'));
    const second = await scan([pattern(`${dir}/{id}`)]);
    const mark = (of: typeof first) =>
      of.candidates.find(({ parts }) => parts['id'] === 'one')?.mark;
    expect(mark(second)).not.toBe(mark(first));
  });

  test('finds nothing where there is no directory, and that is the whole of it', async () => {
    const found = await scan([pattern(`${await tempDir()}/later/{id}/qmp`)]);
    expect(found).toMatchObject({ candidates: [], refused: [], whole: true });
  });

  test('follows no link below its base', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'vms'));
    await mkdir(join(dir, 'away'));
    await listen(join(dir, 'away', 'qmp'));
    await symlink(join(dir, 'away'), join(dir, 'vms', 'linked'));
    await mkdir(join(dir, 'vms', 'real'));
    await symlink(join(dir, 'away', 'qmp'), join(dir, 'vms', 'real', 'qmp'));
    await symlink(join(dir, 'vms'), join(dir, 'base'));
    const found = await scan([pattern(`${dir}/base/{id}/qmp`)]);
    expect(found.candidates).toEqual([]);
    expect(found.refused).toEqual([
      { path: join(dir, 'base', 'linked'), reason: 'is a symbolic link, not followed' },
      {
        path: join(dir, 'base', 'real', 'qmp'),
        reason: 'is a symbolic link; expected the socket itself',
      },
    ]);
  });

  test('refuses directories in which everybody may replace files', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'open'));
    await chmod(join(dir, 'open'), 0o777);
    await listen(join(dir, 'open', 'qmp'));
    const reason = 'is a directory in which everybody may replace files';
    const found = await scan([pattern(`${dir}/{id}/qmp`)]);
    expect(found).toMatchObject({
      candidates: [],
      refused: [{ path: join(dir, 'open'), reason }],
    });
    await chmod(join(dir, 'open'), 0o1777);
    expect((await scan([pattern(`${dir}/{id}/qmp`)])).candidates).toHaveLength(1);
  });

  test('looks at no more names than it may, and says that it was not all', async () => {
    const dir = await tempDir();
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => writeFile(join(dir, `file-${index}`), '')),
    );
    await listen(join(dir, 'vm.sock'));
    const found = await scan([pattern(`${dir}/{id}.sock`)], 10);
    expect(found.whole).toBe(false);
    const reason = 'has more names than the 10 that are looked at in one scan';
    expect(found.refused).toEqual([{ path: dir, reason }]);
  });

  test('bounds what it tells of refusals', async () => {
    const dir = await tempDir();
    await Promise.all(
      Array.from({ length: 130 }, (_, index) => symlink('/nowhere', join(dir, `vm-${index}`))),
    );
    const found = await scan([pattern(`${dir}/{id}`)]);
    expect([found.refused.length, found.refusedMore]).toEqual([100, 30]);
  });
});

const needsRoot = OWN === 0 ? '' : ' [needs root: only root can give files away]';
describe.skipIf(OWN !== 0)(`what belongs to a stranger${needsRoot}`, () => {
  test('is refused with his number, unless the configuration names him', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'theirs'));
    await mkdir(join(dir, 'ours'));
    await listen(join(dir, 'ours', 'qmp'));
    await listen(join(dir, 'theirs', 'qmp'));
    await chown(join(dir, 'ours', 'qmp'), STRANGER, STRANGER);
    await chown(join(dir, 'theirs'), STRANGER, STRANGER);
    const reason = `belongs to user ${STRANGER}; expected 0 (\`owners\` says who else)`;
    const found = await scan([pattern(`${dir}/{id}/qmp`)]);
    expect(found.candidates).toEqual([]);
    expect(found.refused).toEqual([
      { path: join(dir, 'ours', 'qmp'), reason },
      { path: join(dir, 'theirs'), reason },
    ]);
    const named = await scan([pattern(`${dir}/{id}/qmp`, { owners: [STRANGER] })]);
    expect(named.candidates).toHaveLength(2);
    expect(named.refused).toEqual([]);
  });

  test('is refused again right before a connect, when it was put there since', async () => {
    const dir = await tempDir();
    const socket = join(dir, 'qmp');
    const owners = trustedOwners([], OWN);
    await listen(socket);
    expect(await checkSocket(socket, owners)).toBeNull();
    await chown(socket, STRANGER, STRANGER);
    expect(await checkSocket(socket, owners)).toMatchObject({ reason: 'SOCKET_UNTRUSTED' });
    await rm(socket);
    // The connect itself says that it isn't there.
    expect(await checkSocket(socket, owners)).toBeNull();
    await symlink('/nowhere', socket);
    expect((await checkSocket(socket, owners))?.message).toContain('is a symbolic link');
  });
});
