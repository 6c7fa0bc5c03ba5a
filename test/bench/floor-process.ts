import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { endOf } from './serve.js';

export interface FloorProcess {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a bundled floor in a process of its own; it says one word when it is ready. */
export const startFloor = async (file: string, args: readonly string[]): Promise<FloorProcess> => {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = endOf(child);
  await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error(`the floor ${file} ended before it was ready`))),
  ]);
  return {
    pid: child.pid ?? -1,
    stop: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
};
