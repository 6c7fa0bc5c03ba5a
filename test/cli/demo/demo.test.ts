import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { describePart, partPath } from '../../support/parts.js';

const LAUNCHER = fileURLToPath(new URL('../../../bin/vmwarden.js', import.meta.url));
const DEADLINE_MS = 60_000;

const dirs: string[] = [];
afterEach(async () => {
  await Promise.all(dirs.splice(0).map((dir) => rm(dir, { recursive: true, force: true })));
});

/** The demo in a process whose PATH holds Node and `programs`, and nothing else. */
const runDemo = async (
  programs: readonly string[],
): Promise<{ readonly code: number; readonly out: string }> => {
  const path = await mkdtemp(join(tmpdir(), 'vmwarden-path-'));
  dirs.push(path);
  for (const program of programs)
    await symlink(program, join(path, program.split('/').at(-1) ?? ''));
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [LAUNCHER, 'demo'],
      { env: { PATH: path, TMPDIR: tmpdir() }, timeout: DEADLINE_MS },
      (error, out) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out }),
    );
  });
};

const STORY = [
  'dump, restart',
  'powerOff: applied',
  'RESET host-qmp-system-reset seen',
  'SYSTEM_RESET2',
  'STALE_IGNORED',
  'All of it truly happened.',
];

describe('the demo without QEMU', () => {
  it('says so in one line and lives the same story with stand-in guests', async () => {
    const { code, out } = await runDemo([]);
    expect(out.split('\n')[0]).toMatch(/^No qemu-system-x86_64 on PATH/);
    for (const words of STORY) expect(out).toContain(words);
    expect(code).toBe(0);
  });
});

describePart('qemu-system-x86_64', 'the demo with QEMU', () => {
  it('panics one real guest, powers off the other, and proves both', async () => {
    const { code, out } = await runDemo([partPath('qemu-system-x86_64')]);
    expect(out.split('\n')[0]).toMatch(/^Two real guests boot/);
    for (const words of STORY) expect(out).toContain(words);
    expect(code).toBe(0);
  });
});
