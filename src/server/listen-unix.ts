import { randomBytes } from 'node:crypto';
import { linkSync, lstatSync, unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { Fault } from '../lib/fault.js';
import { MAX_SOCKET_PATH, openSocketPlace } from '../lib/socket-path.js';

/** Connections at once, apart from those of agents. */
export const MAX_CONNECTIONS = 256;
const PROBE_TIMEOUT_MS = 1000;

/** Sets the process's file mode creation mask and answers the one before: `process.umask`. */
export type Umask = (mask: number) => number;

export interface UnixListener {
  /** Takes no more connections and removes the socket, unless another one is in its place. Open connections stay. */
  close(): Promise<void>;
  /** Ends every open connection. */
  destroyConnections(): void;
}

/**
 * Listens on a unix socket of mode 0600. A socket that nobody listens on any more is replaced.
 *
 * Faults: SOCKET_PATH_TOO_LONG (INVALID_ARGUMENT), SOCKET_IN_USE, SOCKET_NOT_A_SOCKET, SOCKET_UNUSABLE
 * (FAILED_PRECONDITION).
 */
export const listenUnix = async (
  path: string,
  umask: Umask,
  onConnection: (socket: Socket) => void,
  maxConnections = MAX_CONNECTIONS,
): Promise<UnixListener> => {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new Fault(
      'INVALID_ARGUMENT',
      'SOCKET_PATH_TOO_LONG',
      `The socket path ${path} has ${Buffer.byteLength(path)} bytes; Linux takes at most ${MAX_SOCKET_PATH}`,
    );
  }
  await removeStale(path);

  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => {
      // A peer that resets is its own affair; HTTP/2 above has its own listener as well.
    });
    onConnection(socket);
  });
  server.maxConnections = maxConnections;
  const own = await bind(server, path, umask);
  return {
    close: () =>
      new Promise((resolve) => {
        // First: as long as it is listened on, nobody else of us takes its place.
        removeOwn(path, own);
        server.close(() => resolve());
      }),
    destroyConnections: () => {
      for (const socket of open) socket.destroy();
    },
  };
};

/** No other file has them while the socket is bound: it holds its inode. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * libuv removes whatever has the bound path when a server closes, also another process's socket. So a name is bound
 * that nobody else uses, and is gone again once the socket is linked to its path; a link never replaces anything.
 */
const bind = async (server: Server, path: string, umask: Umask): Promise<Identity> => {
  const name = `.listen-${randomBytes(6).toString('hex')}.sock`;
  const place = openPlace(path, name);
  try {
    await listen(server, place.path, path, umask);
    try {
      const { dev, ino } = lstatSync(place.path, { bigint: true });
      linkSync(place.path, path);
      unlinkSync(place.path);
      return { dev, ino };
    } catch (error) {
      server.close();
      throw unusable(path, error);
    }
  } finally {
    place.release();
  }
};

const openPlace = (path: string, name: string) => {
  try {
    return openSocketPlace(dirname(path), name);
  } catch (error) {
    throw unusable(path, error);
  }
};

const listen = (server: Server, place: string, path: string, umask: Umask): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => reject(unusable(path, error)));
    // bind(2) happens inside `listen`, so that no other file is made under this umask.
    const previous = umask(0o177);
    try {
      server.listen({ path: place, backlog: 128 }, resolve);
    } finally {
      umask(previous);
    }
  });

const removeOwn = (path: string, own: Identity): void => {
  try {
    const found = lstatSync(path, { bigint: true });
    if (found.dev === own.dev && found.ino === own.ino) unlinkSync(path);
  } catch {
    // Gone already, or out of reach: the next start replaces it.
  }
};

const removeStale = async (path: string): Promise<void> => {
  const found = statOf(path);
  if (found === undefined) {
    // libuv tells a missing directory as EACCES.
    if (statOf(dirname(path)) === undefined) throw unusable(path, NO_DIRECTORY);
    return;
  }
  if (!found.isSocket()) {
    throw new Fault(
      'FAILED_PRECONDITION',
      'SOCKET_NOT_A_SOCKET',
      `${path} is there and is no socket; move it away or choose another listen.socket`,
    );
  }
  if (await isListening(path)) throw inUse(path);
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw unusable(path, error);
  }
};

const statOf = (path: string) => {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw unusable(path, error);
  }
};

/** Only a refused connection shows that nobody listens; a busy or silent one is alive. */
const isListening = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ path });
    const answer = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    const timer = setTimeout(() => answer(true), PROBE_TIMEOUT_MS);
    socket.once('connect', () => answer(true));
    socket.once('error', (error) =>
      answer(codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== 'ENOENT'),
    );
  });

const inUse = (path: string): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'SOCKET_IN_USE',
    `Another process listens on ${path}; stop it or choose another listen.socket`,
  );

const NO_DIRECTORY = new Error('no such directory');

const unusable = (path: string, error: unknown): Fault => {
  const code = codeOf(error);
  if (code === 'EADDRINUSE' || code === 'EEXIST') return inUse(path);
  const why =
    error === NO_DIRECTORY
      ? 'its directory does not exist'
      : code === 'EACCES' || code === 'EPERM'
        ? 'permission denied'
        : code === 'EROFS'
          ? 'the file system is read-only'
          : String(code ?? error);
  return new Fault('FAILED_PRECONDITION', 'SOCKET_UNUSABLE', `Can't listen on ${path}: ${why}`, {
    cause: error,
  });
};

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
