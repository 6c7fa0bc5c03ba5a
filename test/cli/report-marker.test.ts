import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tracesIn, tracesOf } from '../event/traces.js';
import { waitFor } from '../support/wait-for.js';

const LAUNCHER = fileURLToPath(new URL('../../bin/vmwarden.js', import.meta.url));

/** Guest memory that an earlier exit left: behind ndata, so nobody may ever see it. */
const LEFT = Buffer.from('S3CR3TK3', 'latin1');
/** A word that the kernel wrote: where it is not found, the search finds nothing. */
const SAID = Buffer.from('W0RDW0RD', 'latin1');

const head = (type: number, ndata: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(type);
  bytes.writeUInt32LE(ndata, 4);
  return bytes;
};
const left = (words: number): readonly Buffer[] => Array.from({ length: words }, () => LEFT);
const hexOf = (...parts: readonly Buffer[]): string => Buffer.concat(parts).toString('hex');

/** Understood, each with guest memory behind what the kernel wrote. */
const RECORDS: readonly (readonly [arch: string, cap: string, hex: string])[] = [
  ['x86_64', '1', hexOf(head(3, 0), ...left(16))],
  ['x86_64', '1', hexOf(head(8, 1), SAID, ...left(15))],
  ['x86_64', '1', hexOf(head(2, 17), ...left(16))],
  ['x86_64', '1', hexOf(head(0x8000_0004, 2), ...left(16))],
  ['x86_64', '0', hexOf(head(6, 1), ...left(16))],
  ['arm64', '0', hexOf(head(2, 5), ...left(16))],
  ['arm64', '1', hexOf(head(5, 0), ...left(16))],
  ['s390x', '1', hexOf(head(0, 0), ...left(16))],
];
/** Not understood, or no record at all. */
const REFUSED: readonly (readonly [arch: string, cap: string, hex: string])[] = [
  ['x86_64', '1', hexOf(head(6, 4), ...left(3))],
  ['x86_64', '1', hexOf(head(0x0300_0000, 0), ...left(16))],
  ['pdp-11', '1', hexOf(head(3, 0), ...left(16))],
  ['x86_64', '1', `${hexOf(head(3, 0), ...left(16))}0`],
  ['x86_64', '1', `${hexOf(head(3, 0), ...left(2))}zz`],
];

let dir: string;
let server: ChildProcess;
/** Everything that any process of vmwarden said. */
let said: Buffer[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vmw-mark-'));
  said = [];
  server = start('serve', '--log-level', 'trace');
  await waitFor('the server listens', () => Buffer.concat(said).includes('"serving"'), 20_000);
});

afterEach(async () => {
  if (server.exitCode === null && server.signalCode === null) {
    server.kill('SIGKILL');
    await once(server, 'close');
  }
  await rm(dir, { recursive: true, force: true });
});

const start = (...args: readonly string[]): ChildProcess => {
  const child = spawn(process.execPath, [LAUNCHER, ...args], {
    cwd: dir,
    env: {
      ...process.env,
      VMWARDEN_DATA_DIR: join(dir, 'data'),
      VMWARDEN_SOCKET: join(dir, 's'),
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => said.push(chunk));
  }
  return child;
};

const run = async (args: readonly string[], input = ''): Promise<number> => {
  const child = start(...args);
  child.stdin?.end(input);
  const [code] = await once(child, 'close');
  return code as number;
};

test('guest memory behind the words is in no file and in no output of any process', async () => {
  for (const [arch, cap, hex] of RECORDS) {
    const record = ['--arch', arch, '--cap', cap, '--endian', 'little'];
    expect(await run(['report', '--vm', 'a', ...record, '--hex', hex])).toBe(0);
  }
  for (const [arch, cap, hex] of REFUSED) {
    const record = ['--arch', arch, '--cap', cap];
    expect(await run(['report', '--vm', 'a', ...record, '--hex', hex])).not.toBe(0);
    expect(await run(['decode', ...record, hex])).not.toBe(0);
  }
  const lines = [...RECORDS, ...REFUSED].map(([arch, cap, rawHex]) =>
    JSON.stringify({ arch, capSystemEventData: Number(cap), rawHex }),
  );
  const broken = lines.flatMap((line) => [line.slice(0, -1), line.slice(1), line.replace('"', '')]);
  const text = [...lines, ...broken].join('\n');
  const file = join(dir, 'lines.jsonl');
  writeFileSync(file, text);
  expect(await run(['report', '--vm', 'b', '--file', file])).toBe(1);
  expect(await run(['report', '--vm', 'b', '--file', '-', '--json'], text)).toBe(1);
  await rm(file);
  expect(await run(['decode'], text)).toBe(1);
  expect(await run(['decode', '--verbose'], text)).toBe(1);
  for (const args of [['events'], ['events', '--json'], ['vms', '--json'], ['journal', 'info']]) {
    expect(await run(args)).toBe(0);
  }
  server.kill('SIGTERM');
  await once(server, 'close');
  expect(await run(['events', '--json'])).toBe(0);

  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  expect(files.some((path) => path.endsWith('data.mdb'))).toBe(true);
  const [traces, wanted] = [tracesOf(LEFT), tracesOf(SAID)];
  for (const path of files)
    expect([path, tracesIn(readFileSync(path), traces)]).toEqual([path, []]);
  expect(tracesIn(Buffer.concat(said), traces)).toEqual([]);
  // The search finds a word that may be shown, in the journal and in the output.
  const journal = files.find((path) => path.endsWith('data.mdb')) ?? '';
  expect(tracesIn(readFileSync(journal), wanted)).not.toEqual([]);
  expect(tracesIn(Buffer.concat(said), wanted)).not.toEqual([]);
}, 120_000);
