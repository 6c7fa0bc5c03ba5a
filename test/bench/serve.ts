import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BenchContext } from './figure.js';
import { untilServing } from './health-client.js';

export interface ServedVm {
  readonly id: string;
  readonly qmpSocket: string;
}

export interface Serve {
  readonly pid: number;
  readonly socket: string;
  /** From its spawn to the first answer SERVING. */
  readonly servingAfterMs: number;
  /** Resolves when it has a connection to each of its VMs. */
  connected(): Promise<void>;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;
const LOOK_EVERY_MS = 20;

/** Restarts what crashes, at once and as often as it takes. */
const POLICY = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: bench }
spec:
  mode: enforce
  budgets:
    plenty:
      limits: [{ attempts: 1000, within: 1s }]
      stableAfter: 1s
      delay: { base: 0s, max: 0s }
  rules:
    - name: crashed
      on: [CRASH]
      do: [restart]
      budget: plenty
  otherwise: [notify]
`;

/** Starts `vmwarden serve` on a fresh data directory, in a process of its own, logging to a file as a service does. */
export const startServe = async (
  { program, dir, socketDir }: BenchContext,
  name: string,
  vms: readonly ServedVm[],
): Promise<Serve> => {
  const home = path.join(dir, name);
  const sockets = path.join(socketDir, name);
  mkdirSync(home);
  mkdirSync(sockets);
  const socket = path.join(sockets, 's');
  const logFile = path.join(home, 'log');
  writeFileSync(path.join(home, 'policy.yaml'), POLICY);
  writeFileSync(
    path.join(home, 'vmwarden.yaml'),
    JSON.stringify({
      dataDir: path.join(home, 'data'),
      listen: { socket },
      policy: { file: path.join(home, 'policy.yaml') },
      vms: vms.map(({ id, qmpSocket }) => ({ id, driver: { kind: 'qemu', socket: qmpSocket } })),
    }),
  );
  const log = openSync(logFile, 'w');
  const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [program, 'serve', '--config', path.join(home, 'vmwarden.yaml')],
    { stdio: ['ignore', log, log] },
  );
  closeSync(log);
  const ended = endOf(child);
  try {
    const late = new Error(`vmwarden did not serve within ${START_TIMEOUT_MS} ms`);
    await Promise.race([
      untilServing(socket, deadline).catch(() => Promise.reject(late)),
      ended.then(() => Promise.reject(new Error(`vmwarden ended:\n${readFileSync(logFile)}`))),
    ]);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return {
    pid: child.pid ?? -1,
    socket,
    servingAfterMs: performance.now() - startedAt,
    connected: async () => {
      while (readFileSync(logFile, 'utf8').split('"VMM connected"').length <= vms.length) {
        deadline.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    },
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
};

export const endOf = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
