import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
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

/** The program in one file; made once for each test file. */
let program: string | null = null;

const bundled = (): string => {
  if (program !== null) return program;
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-consumer-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  program = join(dir, 'consumer.mjs');
  buildSync({
    entryPoints: [fileURLToPath(new URL('consumer-child.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    banner: { js: REQUIRE },
    logLevel: 'warning',
  });
  return program;
};

/** ioredis is a CommonJS package: inside an ES module it still requires Node's own. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

export const startConsumer = (
  socket: string,
  group: string,
  consumer: string,
  holds: string,
): ConsumerProcess => {
  const child: ChildProcess = spawn(
    process.execPath,
    [bundled(), socket, FLEET, group, consumer, holds],
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
