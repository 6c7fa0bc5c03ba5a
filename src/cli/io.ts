import type { Readable, Writable } from 'node:stream';

/** What a command knows of the process it runs in; `process` has it all. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  cwd(): string;
}

export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** The commands' exit codes. */
export const GOOD = 0;
export const FAILED = 1;
export const WRONG_USE = 2;

/** Writes a line no faster than its reader takes it. */
export const printLine = async (output: Output, line: string): Promise<void> => {
  if (output.write(`${line}\n`) || output.destroyed) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      output.off('drain', go);
      output.off('close', go);
      output.off('error', go);
      resolve();
    };
    output.once('drain', go);
    output.once('close', go);
    output.once('error', go);
  });
};

/** One JSON object on one line. Words of 64 bits must be text already. */
export const printJson = (output: Output, value: unknown): Promise<void> =>
  printLine(output, JSON.stringify(value));
