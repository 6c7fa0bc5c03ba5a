import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const GREETING =
  '{"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7}},"capabilities":["oob"]}}\r\n';

/** What is behind a socket that should have been QEMU's monitor; each is told every chunk that it is sent. */
const PEERS: Readonly<Record<string, (socket: net.Socket) => void>> = {
  'other-protocol': (socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n'),
  'no-greeting': () => undefined,
  'half-greeting': (socket) => void socket.write(GREETING.slice(0, 30)),
  'garbage-after-greeting': (socket) => {
    socket.write(GREETING);
    socket.on('data', () => socket.write('\u0000\u0001}{ "return": \ud7ff]\r\n'));
  },
  'half-answer': (socket) => {
    socket.write(GREETING);
    socket.once('data', () => socket.write('{"return": {"sta'));
  },
  'wrong-answers': (socket) => {
    socket.write(GREETING);
    socket.on('data', (chunk: Buffer) => {
      for (const [, id] of chunk.toString().matchAll(/"id":\s*(\d+)/g)) {
        socket.write(`{"return":{"status":[4000000000,null]},"id":${id}}\r\n`);
      }
    });
  },
  'dies-at-once': (socket) => void socket.destroy(),
  'dies-after-greeting': (socket) => {
    socket.write(GREETING);
    socket.once('data', () => socket.destroy());
  },
  'endless-line': (socket) => {
    socket.write(GREETING);
    const more = (): void => {
      while (!socket.destroyed && socket.write('x'.repeat(65_536)));
    };
    socket.on('drain', more);
    socket.once('data', more);
  },
};

/** Starts them all in `dir`; resolves with their sockets by name. Two more have no server at all. */
export const startPeers = async (dir: string): Promise<ReadonlyMap<string, string>> => {
  const sockets = new Map<string, string>();
  for (const [name, speak] of Object.entries(PEERS)) {
    const path = join(dir, `${name}.s`);
    const open = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => open.delete(socket));
      socket.resume();
      speak(socket);
    });
    server.listen(path);
    await once(server, 'listening');
    onTestFinished(() => {
      for (const socket of open) socket.destroy();
      server.close();
    });
    sockets.set(name, path);
  }
  await writeFile(join(dir, 'file.s'), 'a file');
  sockets.set('a-file', join(dir, 'file.s'));
  sockets.set('not-there', join(dir, 'not-there.s'));
  return sockets;
};
