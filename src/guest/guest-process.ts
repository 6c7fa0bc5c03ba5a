import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { Fault } from '../lib/fault.js';
import {
  BOOT_BYTE,
  GUEST_COMMANDS,
  type Guest,
  type GuestCommand,
  type GuestExit,
  type GuestOptions,
} from './guest.js';

const MAX_OUTPUT = 64 * 1024;
const START_TIMEOUT_MS = 10_000;
const STOP_GRACE_MS = 2_000;
/** sun_path holds 108 bytes with the closing NUL. */
const MAX_SOCKET_PATH = 107;

export interface GuestSockets {
  readonly qmp: readonly string[];
  /** Listens already; the guest connects to it last. */
  readonly serial: string;
}

export interface GuestProgram {
  readonly kind: Guest['kind'];
  /** Its stderr is a pipe. */
  readonly spawn: (sockets: GuestSockets) => ChildProcess;
}

const socketPath = (dir: string, name: string): string => {
  const full = path.join(dir, name);
  if (Buffer.byteLength(full) > MAX_SOCKET_PATH)
    throw new Fault(
      'INVALID_ARGUMENT',
      'SOCKET_PATH_TOO_LONG',
      `the path of a unix socket holds at most ${MAX_SOCKET_PATH} bytes: ${full}`,
    );
  return full;
};

const tail = (text: string): string => text.slice(-MAX_OUTPUT);

/** Starts a guest process and waits until it has taken its serial port: its monitors listen by then. */
export const startGuestProcess = async (
  program: GuestProgram,
  options: GuestOptions,
): Promise<Guest> => {
  const name = options.name ?? 'guest';
  const serialPath = socketPath(options.dir, `${name}.serial`);
  const qmp = Array.from({ length: options.monitors ?? 1 }, (_, index) =>
    socketPath(options.dir, `${name}.qmp${index === 0 ? '' : index}`),
  );
  await Promise.all([serialPath, ...qmp].map((file) => rm(file, { force: true })));

  const server = net.createServer();
  server.listen(serialPath);
  await once(server, 'listening');
  const child = program.spawn({ qmp, serial: serialPath });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = tail(stderr + text);
  });
  child.once('error', (error) => {
    stderr = tail(`${stderr}${error.message}\n`);
  });
  const exited = exitOf(child);
  let serial: net.Socket;
  try {
    serial = await accept(server, exited, () => stderr);
  } catch (error) {
    child.kill('SIGKILL');
    server.close();
    throw error;
  }
  // One guest, one serial port: nobody else may connect to it.
  server.close();
  return guestOf(program.kind, child, serial, qmp, exited, () => stderr);
};

const exitOf = (child: ChildProcess): Promise<GuestExit> =>
  new Promise((resolve) => {
    child.once('error', () => resolve({ code: null, signal: null }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });

const accept = (
  server: net.Server,
  exited: Promise<GuestExit>,
  stderr: () => string,
): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new Fault('UNAVAILABLE', 'GUEST_NOT_STARTED', `${why}: ${stderr().trim()}`));
    const timer = setTimeout(() => fail('the guest did not start in time'), START_TIMEOUT_MS);
    server.once('connection', (socket) => {
      clearTimeout(timer);
      resolve(socket);
    });
    void exited.then(() => {
      clearTimeout(timer);
      fail('the guest process ended at its start');
    });
  });

const guestOf = (
  kind: Guest['kind'],
  child: ChildProcess,
  serial: net.Socket,
  qmpSockets: readonly string[],
  exited: Promise<GuestExit>,
  stderr: () => string,
): Guest => {
  let output = '';
  let boots = 0;
  let pings = 0;
  let ended = false;
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of [...listeners]) listener();
  };
  serial.setEncoding('latin1').on('data', (text: string) => {
    output = tail(output + text);
    for (const byte of text) {
      if (byte === BOOT_BYTE) boots += 1;
      if (byte === GUEST_COMMANDS.ping) pings += 1;
    }
    changed();
  });
  serial.on('error', () => serial.destroy());
  void exited.then(() => {
    ended = true;
    serial.destroy();
    changed();
  });

  const until = (what: string, holds: () => boolean, timeoutMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const finish = (error?: Fault): void => {
        clearTimeout(timer);
        listeners.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = (): void => {
        if (holds()) finish();
        else if (ended)
          finish(new Fault('UNAVAILABLE', 'GUEST_GONE', `the guest ended before ${what}`));
      };
      const timer = setTimeout(
        () => finish(new Fault('DEADLINE_EXCEEDED', 'GUEST_SILENT', `not in time: ${what}`)),
        timeoutMs,
      );
      listeners.add(look);
      look();
    });

  return {
    kind,
    // A child that could not be spawned never gets here: it has no serial port.
    pid: child.pid ?? -1,
    qmpSocket: qmpSockets[0] ?? '',
    qmpSockets,
    boots: () => boots,
    booted: (count, timeoutMs = 10_000) => until(`boot ${count}`, () => boots >= count, timeoutMs),
    ping: (timeoutMs = 5_000) => {
      const before = pings;
      serial.write(GUEST_COMMANDS.ping);
      return until('its answer to a ping', () => pings > before, timeoutMs);
    },
    send: (command: GuestCommand) => {
      serial.write(GUEST_COMMANDS[command]);
    },
    output: () => output,
    stderr,
    exited,
    stop: async () => {
      if (!ended) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      await exited;
      clearTimeout(timer);
      serial.destroy();
    },
  };
};
