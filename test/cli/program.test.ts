import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS, runCli } from '../../src/cli/program.js';
import { fakeIo } from '../support/fake-io.js';

// Commands tell their exit code by process.exitCode, which is the test process's own here.
let before: typeof process.exitCode;
beforeEach(() => {
  before = process.exitCode;
  process.exitCode = undefined;
});
afterEach(() => {
  process.exitCode = before;
});

const run = async (...args: string[]) => {
  const io = fakeIo();
  const code = await runCli(args, io);
  return { code, out: io.out(), err: io.err() };
};

describe('the command line', () => {
  test.each(COMMANDS)('$name says of itself what --help says of it', async ({ name, load }) => {
    const program = new Command();
    (await load())(program);
    expect(program.commands.map((command) => command.name())).toEqual([name]);
    const listed = COMMANDS.find((command) => command.name === name);
    expect(program.commands[0]?.description()).toBe(listed?.description);
  });

  test('--help names every command', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  test('help of a command has its options', async () => {
    const { code, out } = await run('help', 'events');
    expect(code).toBe(0);
    expect(out).toContain('--follow');
    expect((await run('events', '--help')).out).toBe(out);
  });

  test.each([
    [[]],
    [['evnts']],
    [['--nope']],
    [['events', '--nope']],
    [['events', '--limit', 'many']],
    [['events', '--after', '-1']],
    [['release', 'web-1']],
    [['report', '--vm', 'a', '--hex', 'f']],
    [['healthcheck', '--timeout', 'soon']],
    [['config']],
  ])('wrong use %j ends with 2 and says something', async (args) => {
    const { code, out, err } = await run(...args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).not.toBe('');
  });

  test('a fault of a command is told with its reason and what to do, and ends with 1', async () => {
    const io = fakeIo();
    const code = await runCli(['vms', '--socket', '/nowhere/s', '--data-dir', '/nowhere/data'], io);
    expect(code).toBe(1);
    expect(io.err()).toMatch(
      /^vmwarden: .*\/nowhere\/data.*[(]JOURNAL_NOT_FOUND[)]\n {2}What to do: .+\n$/,
    );
  });

  test('--version is the package’s', async () => {
    expect(await run('--version')).toMatchObject({ code: 0, out: '0.1.0\n' });
  });
});
