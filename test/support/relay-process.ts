import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll } from 'vitest';

export interface RelayChildOptions {
  /** The journal's. */
  readonly dir: string;
  readonly host: string;
  readonly port: number;
  readonly silentMs: number;
  /** The relay's step at which it kills itself, when it has passed it so often; null: never. */
  readonly killAt: { readonly step: string; readonly after: number } | null;
}

export const STEPS = ['open', 'publish', 'beat', 'leave', 'close'].flatMap((name) =>
  name === 'close'
    ? ['before close', 'after close']
    : [`before ${name}`, `during ${name}`, `after ${name}`],
);

export interface RelayProcess {
  readonly journalId: string;
  /** The last record that was durable, as far as it was told. */
  readonly acked: number;
  /** Resolves when so many more records are durable; false: it ended before. */
  reach(records: number): Promise<boolean>;
  /** Asks it to end in order; resolves with what the bus didn't get, or null when it was killed. */
  end(): Promise<number | null>;
  kill(): Promise<void>;
}

export const startRelayProcess = async (options: RelayChildOptions): Promise<RelayProcess> => {
  const child = spawn(process.execPath, [program(), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  let journalId = '';
  let acked = 0;
  let left: number | null = null;
  let heard: () => void = () => undefined;
  let isGone = false;
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    if (line.startsWith('open ')) journalId = line.slice(5);
    else if (line.startsWith('left ')) left = Number(line.slice(5));
    else acked = Number(line);
    heard();
  });
  const gone = Promise.all([once(child, 'close'), once(reader, 'close')]).then(() => {
    isGone = true;
    heard();
  });
  const until = (holds: () => boolean): Promise<boolean> =>
    new Promise((resolve) => {
      heard = () => {
        if (holds() || isGone) resolve(holds());
      };
      heard();
    });
  if (!(await until(() => journalId !== ''))) throw new Error(`it did not start: ${errors}`);
  return {
    journalId,
    get acked() {
      return acked;
    },
    reach: (records) => {
      const goal = acked + records;
      return until(() => acked >= goal);
    },
    end: async () => {
      child.kill('SIGTERM');
      await gone;
      return left;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
};

let made: string | null = null;
const root = fileURLToPath(new URL('../..', import.meta.url));

afterAll(() => {
  if (made !== null) rmSync(join(made, '..'), { recursive: true, force: true });
  made = null;
});

/** Within reach of node_modules, so that its packages are found. */
const program = (): string => {
  if (made !== null) return made;
  const dir = mkdtempSync(join(root, 'node_modules', '.vmwarden-relay-'));
  made = join(dir, 'relay-child.mjs');
  buildSync({
    absWorkingDir: root,
    entryPoints: ['test/support/relay-child.ts'],
    outfile: made,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
  });
  return made;
};
