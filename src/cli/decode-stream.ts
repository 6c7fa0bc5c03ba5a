import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { badInput, decodeLine } from './decode-line.js';

/** A line of a capture has about 700 bytes; what is longer is not kept. */
const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * Decodes JSON lines: one answer a line, in order, in constant memory, no faster than `output` takes them. Blank lines are
 * skipped. Resolves with the exit code: 0 when every line could be read as input, whatever the answer was; 1 when
 * a line was BAD_INPUT. A reader of `output` that goes away ends it early and is no failure.
 */
export const decodeStream = async (
  input: Readable,
  output: Writable,
  verbose: boolean,
): Promise<number> => {
  let exitCode = 0;
  const answers = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
    let lineNumber = 0;
    for await (const lines of linesOf(chunks)) {
      let text = '';
      for (const line of lines) {
        lineNumber += 1;
        if (line?.trim() === '') continue;
        const answer =
          line === null
            ? badInput(lineNumber, null, `a line of at most ${MAX_LINE_BYTES} bytes`)
            : decodeLine(line, lineNumber, verbose);
        if (!answer.readable) exitCode = 1;
        text += `${JSON.stringify(answer.output)}\n`;
      }
      if (text !== '') yield text;
    }
  };
  try {
    await pipeline(input, answers, output, { end: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
  return exitCode;
};

/** The lines that each chunk completes; null: one that was too long to keep. */
const linesOf = async function* (
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<readonly (string | null)[]> {
  let parts: Buffer[] = [];
  let length = 0;
  const add = (part: Buffer): void => {
    length += part.length;
    if (length <= MAX_LINE_BYTES) parts.push(part);
    else parts = [];
  };
  const take = (): string | null => {
    const line = length > MAX_LINE_BYTES ? null : Buffer.concat(parts).toString('utf8');
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    const lines: (string | null)[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end));
      lines.push(take());
      start = end + 1;
    }
    if (start < chunk.length) add(chunk.subarray(start));
    yield lines;
  }
  if (length > 0) yield [take()];
};
