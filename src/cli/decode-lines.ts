/** A line of a capture has about 700 bytes; what is longer is not kept. */
export const MAX_LINE_BYTES = 64 * 1024;
export const LINE_EXPECTED = `a line of at most ${MAX_LINE_BYTES} bytes`;

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = '\ufeff';

export interface Line {
  /** From 1 on, blank lines counted. */
  readonly number: number;
  /** Without its newline; null: more than MAX_LINE_BYTES. */
  readonly text: string | null;
}

/**
 * The lines that each chunk completes, blank ones left out, in constant memory. The lines of one chunk are made as they
 * are asked for, and all have to be before the next chunk. A byte order mark in front of the first line is dropped:
 * some editors write one.
 */
export const linesOf = async function* (
  chunks: AsyncIterable<Buffer | string>,
): AsyncGenerator<Iterable<Line>> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    yield splitter.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  }
  yield splitter.end();
};

class LineSplitter {
  #number = 0;
  /** Of a line that has not ended yet; empty when it is too long already. */
  #kept: Buffer[] = [];
  #keptBytes = 0;

  *push(chunk: Buffer): Generator<Line> {
    // A string of as many units as the chunk has bytes has each line at the same place: one conversion for all.
    const whole = chunk.toString();
    const inPlace = whole.length === chunk.length;
    let start = 0;
    for (let end = 0; end < chunk.length; end += 1) {
      if (chunk[end] !== NEWLINE) continue;
      let text: string | null = null;
      if (this.#keptBytes > 0) {
        this.#keep(chunk.subarray(start, end));
        text = this.#take();
      } else if (end - start <= MAX_LINE_BYTES) {
        text = inPlace ? whole.slice(start, end) : chunk.toString('utf8', start, end);
      }
      start = end + 1;
      const line = this.#line(text);
      if (line !== null) yield line;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  *end(): Generator<Line> {
    const line = this.#keptBytes > 0 ? this.#line(this.#take()) : null;
    if (line !== null) yield line;
  }

  #keep(part: Buffer): void {
    this.#keptBytes += part.length;
    if (this.#keptBytes <= MAX_LINE_BYTES) this.#kept.push(part);
    else this.#kept = [];
  }

  #take(): string | null {
    const text = this.#keptBytes <= MAX_LINE_BYTES ? Buffer.concat(this.#kept).toString() : null;
    this.#kept = [];
    this.#keptBytes = 0;
    return text;
  }

  /** null: a blank one. */
  #line(line: string | null): Line | null {
    this.#number += 1;
    const text =
      this.#number === 1 && line?.startsWith(BYTE_ORDER_MARK) === true ? line.slice(1) : line;
    return text !== null && isBlank(text) ? null : { number: this.#number, text };
  }
}

const isBlank = (text: string): boolean => text === '' || text.trim() === '';
