import { type FSWatcher, watch } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';

/** grpc.health.v1.HealthCheckRequest for the whole server: no field set, so only the message's frame. */
const REQUEST = Buffer.alloc(5);
/** HealthCheckResponse with status SERVING, in its frame. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

/**
 * Resolves when the health service on that unix socket has answered SERVING. Bare HTTP/2 in place of a gRPC
 * client, and woken by the socket's appearance in its directory in place of a timer, since what the client
 * costs while the server starts would be measured with it. The directory holds nothing else.
 */
export const untilServing = async (socket: string, signal: AbortSignal): Promise<void> => {
  const appeared = watcherOf(path.dirname(socket));
  try {
    for (;;) {
      const answer = await check(socket);
      if (answer === 'serving') return;
      signal.throwIfAborted();
      if (answer === 'absent') await appeared.next(signal);
      else await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    appeared.watcher.close();
  }
};

const watcherOf = (
  dir: string,
): { readonly watcher: FSWatcher; readonly next: (signal: AbortSignal) => Promise<void> } => {
  let changed = false;
  let wake: () => void = () => undefined;
  const watcher = watch(dir, () => {
    changed = true;
    wake();
  });
  return {
    watcher,
    next: (signal) =>
      new Promise((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason);
        wake = () => {
          changed = false;
          // What comes while nobody waits is for the next one who does.
          wake = () => undefined;
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        signal.addEventListener('abort', onAbort, { once: true });
        if (changed) wake();
      }),
  };
};

const check = (path: string): Promise<'serving' | 'not serving' | 'absent'> =>
  new Promise((resolve) => {
    const socket = net.connect(path);
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ENOENT' ? 'absent' : 'not serving'),
    );
    socket.once('connect', () => {
      const session = http2.connect('http://localhost', { createConnection: () => socket });
      session.on('error', () => resolve('not serving'));
      const request = session.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const answer: Buffer[] = [];
      request.on('data', (chunk: Buffer) => answer.push(chunk));
      request.on('error', () => resolve('not serving'));
      request.on('close', () => {
        session.destroy();
        resolve(Buffer.concat(answer).equals(SERVING) ? 'serving' : 'not serving');
      });
      request.end(REQUEST);
    });
  });
