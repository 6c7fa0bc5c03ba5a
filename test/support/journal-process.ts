import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundle } from './journal-bundle.js';

export interface JournalProcess {
  readonly pid: number;
  /** Lines printed so far, without the first. */
  readonly lines: readonly string[];
  /** Resolves when there are at least so many lines. */
  reach(lines: number): Promise<void>;
  /** Resolves when it is gone and all it printed was read. */
  kill(): Promise<void>;
}

/** Starts test/support/journal-child.ts on `dir`; resolves when it has the journal open. */
export async function startJournalProcess(dir: string): Promise<JournalProcess> {
  const script = fileURLToPath(bundle('test/support/journal-child.ts'));
  const child = spawn(process.execPath, [script, dir], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const lines: string[] = [];
  let printed: () => void = () => undefined;
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    lines.push(line);
    printed();
  });
  const gone = Promise.all([once(child, 'close'), once(reader, 'close')]);
  const reach = (count: number) =>
    new Promise<void>((resolve, reject) => {
      printed = () => lines.length >= count && resolve();
      printed();
      void gone.then(() => reject(new Error(`it ended after ${lines.length} lines: ${errors}`)));
    });

  await reach(1);
  lines.shift();
  return {
    pid: child.pid ?? 0,
    lines,
    reach,
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
