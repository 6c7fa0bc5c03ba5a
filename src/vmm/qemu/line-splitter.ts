const NEWLINE = 0x0a;

/** Cuts a byte stream into lines; a line longer than the bound is refused, not kept. */
export class LineSplitter {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Calls `take` with each whole line, without its end. False: a line is too long, and nothing more can be read. */
  push(chunk: Buffer, take: (line: string) => void): boolean {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      if (end === -1) break;
      if (this.#held + end - from > this.#maxBytes) return false;
      take(this.#line(chunk.subarray(from, end)));
      from = end + 1;
    }
    if (from < chunk.length) {
      const rest = from === 0 ? chunk : chunk.subarray(from);
      this.#held += rest.length;
      if (this.#held > this.#maxBytes) return false;
      this.#parts.push(rest);
    }
    return true;
  }

  #line(last: Buffer): string {
    if (this.#held === 0) return last.toString('utf8').trimEnd();
    const line = Buffer.concat([...this.#parts, last])
      .toString('utf8')
      .trimEnd();
    this.#parts = [];
    this.#held = 0;
    return line;
  }
}
