import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decodeLine } from './decode-line.js';
import { linesOf } from './decode-lines.js';

/** Answers are handed on in pieces of about this many characters: a short line may have an answer fifty times as long. */
const PIECE_LENGTH = 64 * 1024;

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
    for await (const lines of linesOf(chunks)) {
      let text = '';
      for (const line of lines) {
        const answer = decodeLine(line, verbose);
        if (!answer.readable) exitCode = 1;
        text += `${answer.text}\n`;
        if (text.length < PIECE_LENGTH) continue;
        yield text;
        text = '';
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
