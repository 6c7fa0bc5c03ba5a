import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { onTestFinished } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'node_modules', '.cache', 'vmwarden-test');

/** An agent as a process of its own; ended with the test. */
export interface AgentProcess {
  readonly child: ChildProcess;
  /** What it wrote to stdout and stderr. */
  output(): string;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a program of one file. `source`: its path in the project, or its text. */
export const startAgent = (program: string, args: readonly string[]): AgentProcess => {
  const child = fork(program, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
    env: { PATH: process.env['PATH'] },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-65_536);
    });
  }
  const exited = once(child, 'exit');
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  onTestFinished(() => kill());
  return { child, output: () => output, kill };
};

/** Bundles TypeScript into one program, within reach of node_modules; named by its content. */
export const bundleAgent = (
  entry: { readonly file: string } | { readonly text: string },
): string => {
  const { outputFiles } = buildSync({
    absWorkingDir: root,
    ...('file' in entry
      ? { entryPoints: [entry.file] }
      : { stdin: { contents: entry.text, loader: 'ts', resolveDir: root } }),
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    external: ['@grpc/proto-loader'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
    write: false,
  });
  const contents = outputFiles[0]?.contents ?? new Uint8Array(0);
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 16);
  const file = join(cache, `${hash}.mjs`);
  if (!existsSync(file)) {
    mkdirSync(cache, { recursive: true });
    const partial = `${file}.${process.pid}`;
    writeFileSync(partial, contents);
    renameSync(partial, file);
  }
  return file;
};
