import { readFileSync } from 'node:fs';
import { PassThrough, Readable, Writable } from 'node:stream';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addDecodeCommand, type DecodeOptions, decode } from '../../src/cli/decode.js';

const data = (name: string): string =>
  readFileSync(new URL(`../data/${name}`, import.meta.url), 'utf8');

const sink = (): { readonly stream: Writable; text(): string } => {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
};

const run = async (
  input: Iterable<Buffer | string>,
  words: readonly string[] = [],
  options: DecodeOptions = {},
) => {
  const [stdout, stderr] = [sink(), sink()];
  const stdin = Readable.from([...input].map((chunk) => Buffer.from(chunk)));
  const code = await decode(
    { stdin, stdout: stdout.stream, stderr: stderr.stream },
    words,
    options,
  );
  const lines = stdout.text().split('\n').slice(0, -1);
  return { code, stdout: stdout.text(), stderr: stderr.text(), lines };
};

const answers = (lines: readonly string[]) => lines.map((line) => JSON.parse(line));

const OFF = '{"arch":"arm64","capSystemEventData":1,"rawHex":"01000000010000000000000000000000"}';
const OFF_ANSWER = {
  type: 'SHUTDOWN',
  data: ['0x0'],
  detail: { psci: 'SYSTEM_OFF' },
  anomalies: [],
};

describe('JSON lines', () => {
  test('the vectors go in as they are', async () => {
    const vectors = JSON.parse(data('vectors.json'));
    const { code, lines } = await run(
      vectors.map((vector: object) => `${JSON.stringify(vector)}\n`),
    );
    const expected = vectors.map(({ expect: wanted }: { expect: { detail?: object } }) => {
      const { note: _, ...detail } = (wanted.detail ?? {}) as { note?: string };
      return wanted.detail === undefined ? wanted : { ...wanted, detail };
    });
    expect(answers(lines).map(sortAnomalies)).toEqual(expected.map(sortAnomalies));
    expect(code).toBe(0);
  });

  test('the captures go in as they are, in order, whatever the chunks', async () => {
    const text = Buffer.from(data('captures.jsonl'));
    const whole = await run([text]);
    const pieces = Array.from({ length: Math.ceil(text.length / 37) }, (_, index) =>
      text.subarray(37 * index, 37 * (index + 1)),
    );
    expect((await run(pieces)).stdout).toBe(whole.stdout);
    const exits = data('captures.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).exitReason);
    expect(answers(whole.lines).map(({ error }) => error)).toEqual(
      exits.map((exit) => (exit === 24 ? undefined : 'NOT_A_SYSTEM_EVENT')),
    );
    expect(whole.code).toBe(0);
  });

  test.each([
    ['{"arch":"arm64",', null, 'a JSON object on one line'],
    ['[1]', null, 'a JSON object on one line'],
    ['null', null, 'a JSON object on one line'],
    ['{"arch":"arm64"}', 'rawHex', 'the record as an even number of hexadecimal digits'],
    [
      '{"arch":"arm64","rawHex":"0g"}',
      'rawHex',
      'the record as an even number of hexadecimal digits',
    ],
    [
      '{"arch":"arm64","rawHex":"012"}',
      'rawHex',
      'the record as an even number of hexadecimal digits',
    ],
    ['{"arch":5,"rawHex":""}', 'arch', 'text: x86_64, arm64, riscv64, ...'],
    [
      '{"arch":"arm64","rawHex":"","endian":"middle"}',
      'endian',
      '"little" or "big", or absent for the usual order of the architecture',
    ],
    [
      '{"arch":"arm64","rawHex":"","capSystemEventData":"1"}',
      'capSystemEventData',
      'what KVM_CHECK_EXTENSION(215) answered, a whole number, or null',
    ],
    [
      '{"arch":"arm64","rawHex":"","exitReason":"24"}',
      'exitReason',
      'a whole number, of which 24 is a system event, or null',
    ],
    ['{}', 'rawHex', 'the record as an even number of hexadecimal digits'],
    ['{x}', null, 'a JSON object on one line'],
    ['{"arch":"arm64"}]', null, 'a JSON object on one line'],
  ])('%s is BAD_INPUT, and the lines around it are answered', async (line, field, expected) => {
    const { code, lines } = await run([`${OFF}\n${line}\n${OFF}`]);
    expect(answers(lines)).toEqual([
      OFF_ANSWER,
      { error: 'BAD_INPUT', line: 2, ...(field !== null && { field }), expected },
      OFF_ANSWER,
    ]);
    expect(code).toBe(1);
  });

  test('a byte order mark in front of the first line is skipped, elsewhere it is garbage', async () => {
    const mark = Buffer.from([0xef, 0xbb, 0xbf]);
    const text = Buffer.concat([mark, Buffer.from(`${OFF}\n`), mark, Buffer.from(OFF)]);
    const bad = { error: 'BAD_INPUT', line: 2, expected: 'a JSON object on one line' };
    for (const size of [1, 2, text.length]) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
        text.subarray(size * index, size * (index + 1)),
      );
      expect(answers((await run(pieces)).lines)).toEqual([OFF_ANSWER, bad]);
    }
    expect(answers((await run([mark, `\n${OFF}`])).lines)).toEqual([OFF_ANSWER]);
  });

  test('text of more than one byte a letter, and bytes that are no text, end where their line does', async () => {
    const named = OFF.replace('{', '{"note":"\u00fc\u20ac\u{1f600}",');
    const broken = Buffer.concat([Buffer.from('{"note":"'), Buffer.of(0xff, 0xe2, 0x82)]);
    const text = Buffer.concat([
      Buffer.from(`${named}\n`),
      broken,
      Buffer.from(`\n${named}\n${OFF}`),
    ]);
    for (const size of [1, 7, text.length]) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
        text.subarray(size * index, size * (index + 1)),
      );
      const { lines, code } = await run(pieces);
      expect(answers(lines)).toMatchObject([OFF_ANSWER, { line: 2 }, OFF_ANSWER, OFF_ANSWER]);
      expect(code).toBe(1);
    }
  });

  test('an answer longer than its line is handed on in pieces', async () => {
    let longest = 0;
    const stdout = new Writable({
      write: (chunk: Buffer, _, done) => {
        longest = Math.max(longest, chunk.length);
        done();
      },
    });
    const stdin = Readable.from([Buffer.from('{}\n'.repeat(20_000))]);
    expect(await decode({ stdin, stdout, stderr: sink().stream }, [], {})).toBe(1);
    expect(longest).toBeLessThan(80_000);
  });

  test('a line without end costs no memory and one answer', async () => {
    const { code, lines } = await run([
      ...Array(300).fill('x'.repeat(1024)),
      `\n${OFF}\r\n\n  \n`,
      `${' '.repeat(65_536 - OFF.length)}${OFF}\n`,
      `${' '.repeat(65_537 - OFF.length)}${OFF}\n`,
    ]);
    const tooLong = { error: 'BAD_INPUT', expected: 'a line of at most 65536 bytes' };
    expect(answers(lines)).toEqual([
      { ...tooLong, line: 1 },
      OFF_ANSWER,
      OFF_ANSWER,
      { ...tooLong, line: 6 },
    ]);
    expect(code).toBe(1);
  });

  test('the byte order is the usual one unless stated, an unknown architecture has none', async () => {
    const { lines, code } = await run([
      '{"arch":"aarch64_be","capSystemEventData":1,"rawHex":"00000002000000010000000000000001"}\n',
      '{"arch":"s390x","capSystemEventData":1,"rawHex":"0000000200000000"}\n',
      '{"arch":"pdp-11","capSystemEventData":1,"rawHex":"0200000000000000"}\n',
      '{"arch":"pdp-11","endian":"little","capSystemEventData":1,"rawHex":"0200000000000000"}\n',
      '{"capSystemEventData":1,"rawHex":"0200000000000000"}\n',
    ]);
    expect(answers(lines)).toMatchObject([
      { detail: { psci: 'SYSTEM_RESET2' } },
      { type: 'RESET', anomalies: ['UNEXPECTED_ARCH'] },
      { error: 'MISSING_CONTEXT' },
      { type: 'RESET', anomalies: ['UNEXPECTED_ARCH'] },
      { error: 'MISSING_CONTEXT' },
    ]);
    expect(code).toBe(0);
  });

  test('a negative answer of the kernel is no capability', async () => {
    const line = OFF.replace(':1', ':-22').replace('01000000010', '01000000000');
    expect(answers((await run([line])).lines)[0].anomalies).toEqual(['LEGACY_FLAGS']);
  });

  test('--verbose says what is wrong and what to do', async () => {
    const short = '{"arch":"arm64","capSystemEventData":1,"rawHex":"0100"}';
    expect(answers((await run([short], [], { verbose: true })).lines)).toEqual([
      {
        error: 'TRUNCATED',
        field: 'rawHex',
        value: '2 bytes',
        expected: 'at least 8: type and ndata',
        advice: expect.stringContaining('136 bytes'),
      },
    ]);
  });

  test('a slow reader holds the input back', async () => {
    let given = 0;
    const stdin = Readable.from(
      (function* () {
        for (; given < 5000; given += 1) yield Buffer.from(`${OFF}\n`.repeat(20));
      })(),
    );
    const stdout = new PassThrough({ highWaterMark: 1024 });
    const done = decode({ stdin, stdout, stderr: sink().stream }, [], {});
    await new Promise((resolve) => stdout.once('readable', resolve));
    // Nobody reads yet: what was taken in is what the buffers on the way hold.
    for (let turn = 0; turn < 1000; turn += 1) await new Promise(setImmediate);
    expect(given).toBeLessThan(200);
    let bytes = 0;
    stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    expect(await done).toBe(0);
    expect(given).toBe(5000);
    expect(bytes).toBe(100_000 * (JSON.stringify(OFF_ANSWER).length + 1));
  });

  test('a reader that goes away is no failure', async () => {
    const stdout = new Writable({
      write: (_, __, done) => {
        done(Object.assign(new Error('broken pipe'), { code: 'EPIPE' }));
      },
    });
    const stdin = Readable.from([Buffer.from(`${OFF}\n`)]);
    expect(await decode({ stdin, stdout, stderr: sink().stream }, [], {})).toBe(0);
  });
});

describe('one record', () => {
  const sev = '06000000010000000011030000000000';

  test('is explained: words, bits, anomalies, source', async () => {
    const { code, stdout } = await run([], [sev], { arch: 'x86_64', cap: '1' });
    expect(code).toBe(0);
    expect(stdout).toContain('SEV_TERM on x86_64');
    expect(stdout).toMatch(/23:16 +0x3 +GHCB_TERM_NOT_VMPL0/);
    expect(stdout).toContain('arch/x86/kvm/svm/sev.c');
    expect(stdout).not.toContain('\u001b');
  });

  test('may be pasted in pieces', async () => {
    const pasted = ['0x06000000', '01 00 00 00', '00:11:03:00', '00000000'];
    const { lines } = await run([], pasted, { arch: 'x86_64', cap: '1', json: true });
    expect(answers(lines)[0]).toMatchObject({ data: ['0x31100'] });
  });

  test('has colours on a terminal only', async () => {
    const stdout = Object.assign(new PassThrough(), { isTTY: true });
    const saved = process.env['NO_COLOR'];
    delete process.env['NO_COLOR'];
    try {
      const streams = { stdin: Readable.from([]), stdout, stderr: sink().stream };
      await decode(streams, [sev], { arch: 'x86_64', cap: '1' });
    } finally {
      if (saved !== undefined) process.env['NO_COLOR'] = saved;
    }
    expect(String(stdout.read())).toContain('\u001b[1mSEV_TERM');
  });

  test('that can not be understood: why, and what to do, and 1', async () => {
    const { code, stdout, stderr } = await run([], ['0600'], { arch: 'x86_64' });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^TRUNCATED: HEX is 2 bytes; expected at least 8/);
    const json = await run([], ['0600'], { arch: 'x86_64', json: true });
    expect(json).toMatchObject({ code: 1, stdout: '{"error":"TRUNCATED"}\n' });
  });

  test.each([
    [['zz'], { arch: 'arm64' }, 'HEX'],
    [['01'], { arch: 'arm64', cap: 'yes' }, '--cap'],
    [['01'], { arch: 'arm64', endian: 'middle' }, '--endian'],
    [[], { arch: 'arm64' }, 'HEX is missing'],
  ])('%j %j is wrong use', async (words, options, named) => {
    const { code, stdout, stderr } = await run([], words, options);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(named);
  });

  test('nothing at all on a terminal is wrong use, not a wait', async () => {
    const stdin = Object.assign(new PassThrough(), { isTTY: true });
    const stderr = sink();
    const streams = { stdin, stdout: sink().stream, stderr: stderr.stream };
    expect(await decode(streams, [], {})).toBe(2);
    expect(stderr.text()).toContain('--arch');
  });
});

test('the command takes what decode takes', () => {
  const program = new Command();
  addDecodeCommand(program);
  const flags = program.commands[0]?.options.map(({ long }) => long);
  expect(flags).toEqual(['--arch', '--endian', '--cap', '--json', '--verbose']);
});

const sortAnomalies = (answer: { anomalies?: readonly string[] }) =>
  answer.anomalies === undefined ? answer : { ...answer, anomalies: answer.anomalies.toSorted() };
