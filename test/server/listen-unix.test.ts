import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fault } from '../../src/lib/fault.js';
import { listenUnix, type UnixListener } from '../../src/server/listen-unix.js';
import { privateFolder } from '../support/grpc-server.js';

const listen = async (path: string): Promise<UnixListener> => {
  const listener = await listenUnix(path, process.umask, (socket) => socket.end());
  onTestFinished(async () => {
    listener.destroyConnections();
    await listener.close();
  });
  return listener;
};

const refusal = async (path: string): Promise<Fault> => {
  const error = await listenUnix(path, process.umask, () => undefined).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof Fault) return error;
  throw new Error(`not refused with a fault: ${error}`);
};

describe('listenUnix', () => {
  test('makes a socket of mode 0600 and leaves the umask as it was', async () => {
    const path = join(await privateFolder(), 's');
    const before = process.umask();
    const masks: number[] = [];
    const listener = await listenUnix(
      path,
      (mask) => {
        masks.push(mask);
        return process.umask(mask);
      },
      (socket) => socket.end(),
    );
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(masks).toEqual([0o177, before]);
    expect(process.umask()).toBe(before);
    await listener.close();
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('replaces the socket of a process that was killed', async () => {
    const path = join(await privateFolder(), 's');
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await stat(path)).isSocket()).toBe(true);
    await listen(path);
    const client = connect(path);
    await once(client, 'connect');
    client.destroy();
  });

  test('leaves a socket alone on which somebody listens', async () => {
    const path = join(await privateFolder(), 's');
    const other = createServer().listen(path);
    await once(other, 'listening');
    const fault = await refusal(path);
    expect(fault).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'SOCKET_IN_USE' });
    expect(fault.message).toContain(path);
    expect((await stat(path)).isSocket()).toBe(true);
    other.close();
  });

  test('leaves the socket alone that took the place of its own', async () => {
    const folder = await privateFolder();
    const path = join(folder, 's');
    const first = await listen(path);
    await unlink(path);
    await listen(path);
    await first.close();
    const client = connect(path);
    await once(client, 'connect');
    client.destroy();
    expect(await readdir(folder)).toEqual(['s']);
  });

  test('lets one of two win that start at once', async () => {
    const folder = await privateFolder();
    const path = join(folder, 's');
    const ends = await Promise.allSettled([listen(path), listen(path)]);
    const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    expect(refused).toEqual([expect.objectContaining({ reason: 'SOCKET_IN_USE' })]);
    expect(await readdir(folder)).toEqual(['s']);
  });

  test.each([
    { what: 'a file', make: (path: string) => writeFile(path, 'precious') },
    { what: 'a folder', make: (path: string) => mkdir(path) },
    { what: 'a symbolic link', make: (path: string) => symlink('/dev/null', path) },
  ])('leaves $what alone', async ({ make }) => {
    const path = join(await privateFolder(), 's');
    await make(path);
    expect((await refusal(path)).reason).toBe('SOCKET_NOT_A_SOCKET');
  });

  test('says that the folder is missing', async () => {
    const path = join(await privateFolder(), 'nowhere', 's');
    const fault = await refusal(path);
    expect(fault.reason).toBe('SOCKET_UNUSABLE');
    expect(fault.message).toContain('directory does not exist');
  });

  test('takes 107 bytes of path and not one more', async () => {
    const folder = await privateFolder();
    await listen(join(folder, 'x'.repeat(106 - folder.length)));
    const fault = await refusal(join(folder, 'x'.repeat(107 - folder.length)));
    expect(fault).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'SOCKET_PATH_TOO_LONG' });
    expect(fault.message).toContain('108 bytes');
  });
});
