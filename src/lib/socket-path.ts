import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** sun_path of Linux's struct sockaddr_un holds 108 bytes, the last of them NUL. */
export const MAX_SOCKET_PATH = 107;

/** A path to bind or connect to; it is good until `release`, which is to be called once. */
export interface SocketPlace {
  readonly path: string;
  release(): void;
}

/**
 * The unix socket `name` in `dir`; a directory whose path is too long for a socket is gone through by its descriptor.
 * Throws Node's file system errors.
 */
export const openSocketPlace = (dir: string, name: string): SocketPlace => {
  const path = join(dir, name);
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return { path, release: () => undefined };
  const descriptor = openSync(dir, 'r');
  return {
    path: `/proc/self/fd/${descriptor}/${name}`,
    release: () => closeSync(descriptor),
  };
};
