import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { policyOf } from '../support/engine-bench.js';
import { journalOf } from '../support/engine-traffic.js';

const LAUNCHER = fileURLToPath(new URL('../../bin/vmwarden.js', import.meta.url));
const page = await readFile(new URL('../../docs/policy.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? '');
const whole = blocks.find((text) => text.includes('name: production')) ?? '';
const cases = blocks.find((text) => text.includes('kind: PolicyTest')) ?? '';

const lines = [...page.matchAll(/(?:^|`)vmwarden (policy [^`#\n]+)/gm)].map(
  (match) => match[1]?.trim() ?? '',
);
/** Each command line of the page once, in its order; not the mere mention of one that stands in full elsewhere. */
const commands = [...new Set(lines)].filter(
  (line) => !lines.some((other) => other.startsWith(`${line} `)),
);
/** What stands for the page's placeholders. */
const FILES: Readonly<Record<string, string>> = {
  'FILE...': 'whole.yaml',
  FILE: 'whole.yaml',
  CASES: 'cases.yaml',
  OLD: 'whole.yaml',
  NEW: 'policy.yaml',
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vmw-docs-'));
  await writeFile(join(dir, 'whole.yaml'), whole);
  await writeFile(join(dir, 'cases.yaml'), cases);
  const journal = await openLmdbJournal({
    dir: join(dir, 'data', 'journal'),
    reserveBytes: 0,
    pid: process.pid,
  });
  await journalOf(policyOf(whole), [{ kind: 'panic', vm: 0 }, { kind: 'quiet' }], journal);
  await journal.close();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it('finds the commands of the page', () => {
  expect(commands.map((line) => line.split(' ')[1])).toEqual(
    expect.arrayContaining(['init', 'check', 'schema', 'test', 'simulate', 'diff']),
  );
});

// In the page's order: the first writes the file that later ones read.
it.each(commands)('vmwarden %s', async (line) => {
  const args = line.split(' ').map((word) => FILES[word] ?? word);
  const env = { ...process.env, VMWARDEN_DATA_DIR: join(dir, 'data') };
  const { stdout } = await promisify(execFile)(process.execPath, [LAUNCHER, ...args], {
    cwd: dir,
    env,
    timeout: 25_000,
  });
  // `init` says what it wrote, `check` that all is well, the others answer.
  expect(stdout).not.toBe('');
});
