import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { act } from '../../src/cli/act.js';
import { budgetReset } from '../../src/cli/budget.js';
import { completion, SHELLS } from '../../src/cli/completion.js';
import { EXAMPLES } from '../../src/cli/examples.js';
import { explain } from '../../src/cli/explain.js';
import { hold } from '../../src/cli/hold.js';
import { openSource } from '../../src/cli/open-source.js';
import { COMMANDS, createProgram, runCli } from '../../src/cli/program.js';
import { release } from '../../src/cli/release.js';
import { report } from '../../src/cli/report.js';
import { vms } from '../../src/cli/vms.js';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { engineBench } from '../support/engine-bench.js';
import { fakeIo } from '../support/fake-io.js';
import { privateFolder, startTestServer } from '../support/grpc-server.js';

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

const VM = 'web-1';
const BY = { actor: 'ann', reason: 'to try it', requestId: '' };
const ACT = { ...BY, timeout: 0, wait: true, incident: '' };

const serve = async () => {
  const made = await engineBench();
  engines.push(made.engine);
  await made.until('contact', () => made.engine.vm(VM).contact === 'connected');
  const { socket } = await startTestServer({ engine: made.engine, journal: made.journal });
  return { made, socket };
};

describe('operators at the command line', () => {
  test('act waits for its outcome and shows it', async () => {
    const { socket, made } = await serve();
    const io = fakeIo();
    expect(await act(io, socket, VM, 'restart', ACT)).toBe(0);
    expect(io.out()).toMatch(/^restart of web-1 has begun, incident \S+\n.*started\n.*applied/s);
    expect(made.driver.boots).toBe(2);
    made.driver.answers.push({ kind: 'failed', reason: 'TEST', message: 'no', proof: [] });
    const failing = fakeIo();
    expect(await act(failing, socket, VM, 'dump', { ...ACT, json: true })).toBe(1);
    expect(failing.json().at(-1)).toMatchObject({ kind: 'step', step: { state: 'FAILED' } });
  });

  test('hold, release, budget reset and explain', async () => {
    const { socket } = await serve();
    const io = fakeIo();
    expect(await hold(io, socket, VM, BY)).toBe(0);
    expect(await release(io, socket, VM, BY)).toBe(0);
    expect(await hold(io, socket, null, BY)).toBe(0);
    const source = await openSource({ socket, dataDir: '' });
    const listed = fakeIo();
    expect(await vms(listed, source, {})).toBe(0);
    expect(listed.out()).toMatch(/^The host is held since \S+ by ann: to try it\. Nothing .*\nVM /);
    const told = fakeIo();
    expect(await explain(told, source, VM, { json: true })).toBe(0);
    expect(told.json()).toMatchObject([
      { answer: expect.stringContaining('The host is held since'), vm: { id: VM } },
    ]);
    expect(await release(io, socket, null, BY)).toBe(0);
    const after = fakeIo();
    await vms(after, source, { json: true });
    expect(after.json()).toMatchObject([{ id: VM, hostHold: null }]);
    expect(await budgetReset(io, socket, VM, 'crash', { ...BY, json: true })).toBe(0);
    expect(io.out()).toContain('web-1 is released; the guest is running');
    await expect(act(io, socket, VM, 'cancel', ACT)).rejects.toMatchObject({
      reason: 'NOTHING_TO_CANCEL',
    });
  });

  test.each(['power-off', 'powerOff', 'restart-process', 'nmi'])(
    'act takes %s: what is missing is a server',
    async (verb) => {
      const socket = join(await privateFolder(), 's');
      const io = fakeIo();
      const args = ['act', VM, verb, '--reason', 'x', '--socket', socket, '--json'];
      expect(await runCli(args, io)).toBe(1);
      expect(JSON.parse(io.err())).toMatchObject({ error: { reason: 'NOT_SERVING' } });
    },
  );

  test('where nobody listens, it says so in its own words', async () => {
    const socket = join(await privateFolder(), 's');
    const calls = [
      release(fakeIo(), socket, VM, BY),
      act(fakeIo(), socket, VM, 'dump', ACT),
      report(fakeIo(), socket, { vm: VM, arch: 'arm64', hex: '00' }),
    ];
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({
        reason: 'NOT_SERVING',
        message: expect.stringContaining('No vmwarden listens on'),
      });
    }
  });
});

describe('errors under --json', () => {
  test.each([
    [['release', VM, '--json'], 2, 'INVALID_ARGUMENT', 'WRONG_USE'],
    [['act', VM, 'power-of', '--reason', 'x', '--json'], 2, 'INVALID_ARGUMENT', 'WRONG_USE'],
    [['events', '--type', 'CRSH', '--json'], 2, 'INVALID_ARGUMENT', 'WRONG_USE'],
    [['events', '--label', 'tier', '--json'], 2, 'INVALID_ARGUMENT', 'WRONG_USE'],
    [['nonsense', '--json'], 2, 'INVALID_ARGUMENT', 'WRONG_USE'],
  ])('%j is one object on standard error', async (args, code, errorCode, reason) => {
    const io = fakeIo();
    expect(await runCli(args, io)).toBe(code);
    const lines = io.err().trim().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ error: { code: errorCode, reason } });
    expect(io.out()).toBe('');
  });
});

describe('help and completion', () => {
  test('each command that takes more than its name has examples, which are its own', async () => {
    const names = new Set(COMMANDS.map(({ name }) => name));
    for (const [command, examples] of Object.entries(EXAMPLES)) {
      expect(names).toContain(command.split(' ')[0]);
      for (const example of examples) expect(example).toContain(`vmwarden ${command}`);
    }
    const io = fakeIo();
    expect(await runCli(['act', '--help'], io)).toBe(0);
    expect(io.out()).toContain('Examples:\n  vmwarden act web-1 restart');
  });

  test('bash completes commands, their options and those below', async () => {
    const program = await createProgram(['completion'], fakeIo());
    const script = completion(program, 'bash');
    const ask = async (...words: string[]): Promise<string[]> => {
      const { stdout } = await promisify(execFile)('bash', [
        ...[
          '-c',
          `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vmwarden; echo "\${COMPREPLY[@]}"`,
        ],
        ...['bash', 'vmwarden', ...words],
      ]);
      return stdout.trim().split(' ');
    };
    expect(await ask('ex')).toEqual(['explain']);
    expect(await ask('act', 'web-1', '--rea')).toEqual(['--reason']);
    expect(await ask('budget', '')).toContain('reset');
    expect(await ask('budget', 'reset', 'web-1', '--act')).toEqual(['--actor']);
    expect(await ask('completion', 'z')).toEqual(['zsh']);
  });

  test.each(SHELLS)('%s gets every command', async (shell) => {
    const program = await createProgram(['completion'], fakeIo());
    const script = completion(program, shell);
    for (const { name } of COMMANDS) expect(script).toContain(name);
  });
});
