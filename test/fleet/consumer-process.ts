import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundle } from '../support/journal-bundle.js';
import { waitFor } from '../support/wait-for.js';
import { FLEET } from './publisher.js';

/** test/fleet/consumer-child.ts as a process. */
export interface ConsumerProcess {
  /** What it printed so far. */
  readonly lines: readonly string[];
  readonly said: (line: string) => Promise<void>;
  /** kill -9. */
  readonly kill: () => Promise<void>;
}

export const startConsumer = (
  socket: string,
  group: string,
  consumer: string,
  holds: string,
): ConsumerProcess => {
  const program = fileURLToPath(bundle('test/fleet/consumer-child.ts'));
  const child: ChildProcess = spawn(
    process.execPath,
    [program, socket, FLEET, group, consumer, holds],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const lines: string[] = [];
  if (child.stdout === null) throw new Error('no stdout');
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return {
    lines,
    said: (line) => waitFor(`${consumer} says "${line}"`, () => lines.includes(line)),
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
};
