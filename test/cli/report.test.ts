import { describe, expect, test } from 'vitest';
import { runCli } from '../../src/cli/program.js';
import { report } from '../../src/cli/report.js';
import { fakeIo } from '../support/fake-io.js';
import { startTestServer } from '../support/grpc-server.js';

/** The last word is what an earlier exit left. */
const LEFT = '5333435233544b33';
const MALFORMED = `0300000000000000${LEFT}0`;
const line = (part: object = {}): string =>
  JSON.stringify({ arch: 'x86_64', capSystemEventData: 1, rawHex: '0300000000000000', ...part });

describe('a record that is no hex is told and not repeated', () => {
  test.each([
    ['report', '--vm', 'a', '--hex', MALFORMED],
    ['report', '--vm', 'a', `--hex=${MALFORMED}`],
    ['report', '--vm', 'a', `--hax=${MALFORMED}`],
    ['report', '--vm', 'a', '--cap', MALFORMED, '--hex', '03'],
    ['report', '--vm', 'a', '--endian', MALFORMED, '--hex', '03'],
    ['report', '--vm', 'a', '--initiator', MALFORMED],
    ['decode', `--hax=${MALFORMED}`],
    ['decode', '--arch', 'x86_64', '--nope', MALFORMED],
  ])('%s %s %s %s %s', async (...args) => {
    const io = fakeIo();
    expect(await runCli(args, io)).toBe(2);
    expect(io.err()).toMatch(/^error: /);
    expect(io.out() + io.err()).not.toContain(LEFT);
  });

  test('and says what is expected, as decode does', async () => {
    const io = fakeIo();
    await runCli(['report', '--vm', 'a', '--hex', MALFORMED], io);
    expect(io.err()).toContain('--hex is not an even number of hexadecimal digits');
    const direct = fakeIo();
    expect(await report(direct, '/nowhere', { vm: 'a', hex: MALFORMED })).toBe(2);
    expect(direct.err()).toBe(
      'vmwarden report: --hex is not an even number of hexadecimal digits\n',
    );
  });

  test('a short value of another option is still named', async () => {
    const io = fakeIo();
    await runCli(['report', '--vm', 'a', '--hex', '03', '--endian', 'middle'], io);
    expect(io.err()).toContain("argument 'middle' is invalid");
  });
});

describe('lines', () => {
  const answers = async (stdin: string) => {
    const server = await startTestServer();
    const io = fakeIo({ stdin });
    const code = await report(io, server.socket, { vm: 'a', file: '-', json: true });
    return { code, lines: io.json(), reports: server.engine.reports.length };
  };

  test('are those of decode: byte order mark, exit reason, kinds of the fields', async () => {
    const stdin = [
      `\ufeff${line()}`,
      line({ exitReason: 24 }),
      line({ exitReason: '24' }),
      line({ exitReason: 8 }),
      line({ abi: 5, other: {} }),
      '{x}',
    ].join('\r\n');
    const { code, lines, reports } = await answers(stdin);
    expect(code).toBe(1);
    expect(reports).toBe(3);
    expect(lines).toMatchObject([
      { line: 1, event: { type: 'CRASH' } },
      { line: 2, event: { type: 'CRASH' } },
      { line: 3, error: 'BAD_INPUT', message: expect.stringContaining('exitReason') },
      { line: 4, error: 'NOT_A_SYSTEM_EVENT' },
      { line: 5, event: { type: 'CRASH' } },
      { line: 6, error: 'BAD_INPUT', message: 'expected a JSON object on one line' },
    ]);
  });

  test('have the bound of decode, and one that is too long costs one answer', async () => {
    const { code, lines } = await answers(`${'x'.repeat(65_537)}\n${line()}\n`);
    expect(code).toBe(1);
    expect(lines).toMatchObject([
      { line: 1, error: 'BAD_INPUT', message: 'expected a line of at most 65536 bytes' },
      { line: 2, event: { type: 'CRASH' } },
    ]);
  });

  test('an architecture that nobody knows is shown escaped, and where it was cut', async () => {
    const arch = `\u001b[31m${'x'.repeat(40)}`;
    const { lines } = await answers(line({ arch, endian: 'little' }));
    expect(lines).toMatchObject([
      { event: { arch: `\\x1b[31m${'x'.repeat(27)}...`, anomalies: ['UNEXPECTED_ARCH'] } },
    ]);
  });
});
