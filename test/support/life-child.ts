import { openSync, writeSync } from 'node:fs';
import { type App, startApp } from '../../src/app.js';
import { isFault } from '../../src/lib/fault.js';
import type { Logger } from '../../src/lib/logger.js';
import type { LifeOrder, LifeWord, Spot } from './life-words.js';

/**
 * vmwarden as a process of its own that can be told to kill itself, with SIGKILL, when it passes a named point; else
 * it serves until SIGTERM and then stops gracefully. Ends by itself when whoever started it has gone.
 */
const order = JSON.parse(process.argv[2] ?? '') as LifeOrder;
let spot: Spot | null = order.killAt;
let left = spot?.nth ?? 0;

const say = (word: LifeWord): void => {
  if (process.connected) process.send?.(word);
};

const onPoint = (point: string): void => {
  if (point !== spot?.point) return;
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
};

/** Written at once, so that a killed life's last words are there. */
const logTo = (file: string): Logger => {
  const fd = openSync(file, 'a');
  const line =
    (level: string) =>
    (fields: object, message: string): void => {
      const text = JSON.stringify({ pid: process.pid, level, message, ...fields }, plain);
      writeSync(fd, `${text}\n`);
    };
  const log: Logger = {
    debug: () => undefined,
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: () => log,
  };
  return log;
};

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  return value instanceof Error ? value.message : value;
};

let app: App | null = null;
let stopping = false;
const stop = async (): Promise<void> => {
  if (stopping) return;
  stopping = true;
  await app?.stop();
  if (process.connected) process.disconnect();
};

process.on('SIGTERM', () => void stop());
process.on('disconnect', () => void stop());
process.on('message', (next: Spot) => {
  spot = next;
  left = next.nth;
  say({ kind: 'armed' });
});

try {
  app = await startApp(order.config, {
    log: logTo(order.logFile),
    umask: (mask) => process.umask(mask),
    pid: process.pid,
    onPoint,
  });
  say({ kind: 'ready', address: app.server.address });
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  say({ kind: 'refused', reason: isFault(error) ? error.reason : '', message });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
}
