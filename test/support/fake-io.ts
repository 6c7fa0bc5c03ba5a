import { PassThrough, Readable, Writable } from 'node:stream';
import type { Io } from '../../src/cli/io.js';

/** A process's streams that a test writes and reads as text. */
export interface FakeIo extends Io {
  readonly out: () => string;
  readonly err: () => string;
  /** Each line of the output as JSON. */
  readonly json: () => readonly Record<string, unknown>[];
}

export interface FakeIoOptions {
  readonly stdin?: string;
  readonly terminal?: boolean;
  readonly env?: Io['env'];
  readonly cwd?: string;
}

export const fakeIo = (options: FakeIoOptions = {}): FakeIo => {
  const stdout = sink(options.terminal === true);
  const stderr = sink(options.terminal === true);
  return {
    stdin: options.stdin === undefined ? new PassThrough().end() : Readable.from([options.stdin]),
    stdout,
    stderr,
    env: options.env ?? {},
    cwd: () => options.cwd ?? '/',
    out: () => stdout.text,
    err: () => stderr.text,
    json: () =>
      stdout.text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
  };
};

const sink = (isTTY: boolean) => {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      collected.text += String(chunk);
      done();
    },
  });
  const collected = Object.assign(stream, { isTTY, text: '' });
  return collected;
};
