import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { addPolicyCommand } from '../../src/cli/policy.js';

let dir: string;
let file: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vmwarden-cli-'));
  file = join(dir, 'policy.yaml');
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  await rm(dir, { recursive: true, force: true });
});

const run = async (...words: string[]): Promise<{ code: number; out: string }> => {
  let out = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  const program = new Command().exitOverride();
  addPolicyCommand(program);
  await program.parseAsync(['policy', ...words], { from: 'user' });
  write.mockRestore();
  const code = Number(process.exitCode);
  process.exitCode = undefined;
  return { code, out };
};

it('writes a policy that it finds good', async () => {
  expect(await run('init', file)).toEqual({
    code: 0,
    out: `wrote ${file}, and vmwarden-policy.schema.json for your editor; next: vmwarden policy check ${file}\n`,
  });
  expect(await run('check', file)).toEqual({
    code: 0,
    out: `${file}: good; policy default, mode enforce, rules: 4, budgets: 1\n`,
  });
  expect((await run('init', '-')).out).toBe(await readFile(file, 'utf8'));
});

it('names the configured VMs whose drivers can not do what the policy asks for', async () => {
  const config = join(dir, 'vmwarden.yaml');
  const reported = [1, 2, 3, 4, 5, 6].map(
    (n) => `  - { id: told-${n}, driver: { kind: observe } }`,
  );
  const started = '  - { id: web-1, driver: { kind: qemu, socket: /run/none.qmp } }';
  await writeFile(config, ['vms:', ...reported, started, ''].join('\n'));
  await run('init', file);
  const all = await run('check', file, '--config', config);
  expect(all.code).toBe(0);
  expect(all.out).toContain(
    'warning: VMs told-1, told-2, told-3, told-4, told-5 and 1 more: Rule "crashed"',
  );
  expect(all.out).toContain('restart: OBSERVE_ONLY');
  expect(all.out).not.toContain('web-1:');
  const lines = (await run('check', file, '--json', '--config', config)).out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({ kind: 'vmWarning', file }),
  );
  const { code } = await run('check', file, '--config', join(dir, 'none.yaml'));
  expect(code).toBe(2);
});

it('writes over nothing unless told to', async () => {
  await writeFile(file, 'mine');
  expect(await run('init', file)).toEqual({
    code: 1,
    out: `${file} is there already; --force writes over it\n`,
  });
  expect(await readFile(file, 'utf8')).toBe('mine');
  expect((await run('init', file, '--force')).code).toBe(0);
  expect((await run('init', join(dir, 'no', 'policy.yaml'))).out).toContain(
    "can't be written: ENOENT",
  );
});

it('tells every problem with its place, and exits 1', async () => {
  await writeFile(
    file,
    'apiVersion: vmwarden.dev/v1\nkind: Policy\nmetadata: { name: a }\nspec: { mode: on }\n',
  );
  expect(await run('check', file)).toEqual({
    code: 1,
    out: [
      `${file}:2:7: VW-P013 kind: "Policy" is not known; expected EventPolicy`,
      `${file}:4:15: VW-P013 spec.mode: "on" is not known; expected one of observe, enforce`,
      `${file}: not good, 2 problems`,
      '',
    ].join('\n'),
  });
});

it('prints one JSON object a line', async () => {
  await run('init', file);
  const good = await run('check', file, '--json');
  expect(JSON.parse(good.out)).toEqual({
    kind: 'result',
    ok: true,
    file,
    name: 'default',
    hash: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  const missing = await run('check', join(dir, 'none.yaml'), '--json');
  expect(missing.code).toBe(1);
  expect(
    missing.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { kind: 'problem', id: 'VW-P005', line: 1, column: 1, message: 'there is no such file' },
    { kind: 'result', ok: false },
  ]);
});

it('shows warnings of a good file and exits 0', async () => {
  await writeFile(
    file,
    'apiVersion: vmwarden.dev/v1\nkind: EventPolicy\nmetadata: { name: a }\nspec: { mode: observe, otherwise: [pause] }\n',
  );
  const { code, out } = await run('check', file);
  expect(code).toBe(0);
  expect(out).toMatch(
    /:4:35: VW-W002 spec.otherwise: .*\n.*: good, 1 warning; policy a, mode observe/,
  );
});
