import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  openPolicySource,
  type PolicyChange,
  type PolicySource,
  type PolicySourceOptions,
  readPolicyFile,
} from '../../src/config/policy-source.js';

const HOUR = 3_600_000;
const text = (name: string): string =>
  `apiVersion: vmwarden.dev/v1\nkind: EventPolicy\nmetadata: { name: ${name} }\nspec: { mode: observe }\n`;

let dir: string;
let source: PolicySource | undefined;
let changes: string[];

const told = (change: PolicyChange): void => {
  changes.push(
    change.kind === 'loaded'
      ? change.policy.name
      : `broken ${change.problems.map((problem) => `${problem.id} ${problem.line}:${problem.column}`)}`,
  );
};
/** By default only the watch can see a change: the next look by itself is an hour away. */
const follow = async (file: string, options: PolicySourceOptions = {}): Promise<PolicySource> => {
  source = await openPolicySource(file, told, { settleMs: 20, pollMs: HOUR, ...options });
  return source;
};
const toldSo = (...expected: string[]): Promise<void> =>
  expect.poll(() => changes, { timeout: 10_000, interval: 10 }).toEqual(expected);
/** Puts a file in place as editors do. */
const put = async (file: string, content: string): Promise<void> => {
  await writeFile(`${file}.new`, content);
  await rename(`${file}.new`, file);
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vmwarden-policy-'));
  changes = [];
});
afterEach(async () => {
  await source?.close();
  source = undefined;
  await rm(dir, { recursive: true, force: true });
});

describe('following a file', () => {
  it('takes a good one, keeps it when the next is broken, and takes the mended one', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, text('one'));
    const { current } = await follow(file);
    expect(current.name).toBe('one');
    await put(file, text('two'));
    await toldSo('two');
    expect(source?.current.name).toBe('two');
    await put(file, 'kind: [');
    await toldSo('two', 'broken VW-P001 1:8');
    expect(source?.current.name).toBe('two');
    await put(file, text('two'));
    await toldSo('two', 'broken VW-P001 1:8', 'two');
  });

  it('keeps the last good one when the file goes, and takes it up again', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, text('one'));
    await follow(file);
    await unlink(file);
    await toldSo('broken VW-P005 1:1');
    expect(source?.current.name).toBe('one');
    await put(file, text('two'));
    await toldSo('broken VW-P005 1:1', 'two');
  });

  it('sees how Kubernetes swaps a ConfigMap', async () => {
    const publish = async (version: string): Promise<void> => {
      await mkdir(join(dir, `..${version}`));
      await writeFile(join(dir, `..${version}`, 'policy.yaml'), text(version));
      await symlink(`..${version}`, join(dir, '..data_tmp'));
      await rename(join(dir, '..data_tmp'), join(dir, '..data'));
    };
    await publish('one');
    await symlink('..data/policy.yaml', join(dir, 'policy.yaml'));
    await follow(join(dir, 'policy.yaml'));
    expect(source?.current.name).toBe('one');
    await publish('two');
    await toldSo('two');
    await rm(join(dir, '..one'), { recursive: true });
    await publish('three');
    await toldSo('two', 'three');
  });

  it('looks by itself for what a watch on the directory cannot see', async () => {
    const away = join(dir, 'away');
    const here = join(dir, 'here');
    await mkdir(away);
    await mkdir(here);
    await writeFile(join(away, 'p.yaml'), text('one'));
    await symlink(join(away, 'p.yaml'), join(here, 'policy.yaml'));
    await follow(join(here, 'policy.yaml'), { pollMs: 20 });
    await put(join(away, 'p.yaml'), text('two'));
    await toldSo('two');
    // The directory itself is replaced.
    await rename(here, join(dir, 'old'));
    await mkdir(here);
    await put(join(here, 'policy.yaml'), text('three'));
    await expect.poll(() => source?.current.name, { timeout: 10_000 }).toBe('three');
  });

  it('reads though the directory never rests', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, text('one'));
    await follow(file, { settleMs: HOUR, maxSettleMs: 50 });
    await put(file, text('two'));
    let busy = true;
    const noise = (async () => {
      for (let count = 0; busy; count += 1) await writeFile(join(dir, 'noise'), `${count}`);
    })();
    await toldSo('two');
    busy = false;
    await noise;
  });

  it('tells nothing of other files, nor of the same content', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, text('one'));
    await follow(file);
    await put(join(dir, 'other.yaml'), text('other'));
    await put(file, text('one'));
    await put(file, text('two'));
    await toldSo('two');
  });

  it('tells nothing after close, which can be called again', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, text('one'));
    const followed = await follow(file, { pollMs: 5, settleMs: 1 });
    await put(file, text('two'));
    await followed.close();
    const before = [...changes];
    await put(file, text('three'));
    // Another source sees the change in the same way, so the closed one would have.
    const witness: string[] = [];
    const other = await openPolicySource(file, (change) => witness.push(change.kind), {
      settleMs: 1,
      pollMs: 5,
    });
    await put(file, text('four'));
    await expect.poll(() => witness.length, { timeout: 10_000 }).toBe(1);
    await other.close();
    expect(changes).toEqual(before);
    await followed.close();
  });
});

describe('at the start', () => {
  it('says that there is no file', async () => {
    const file = join(dir, 'policy.yaml');
    await expect(follow(file)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'POLICY_UNREADABLE',
      message: `policy file ${file}: there is no such file`,
    });
  });

  it('tells all that is wrong with a broken one', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, text('one').replace('observe', 'obey').replace('v1', 'v9'));
    await expect(follow(file)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'POLICY_BROKEN',
      message: expect.stringMatching(/1:13: VW-P013 apiVersion.*\n.*4:15: VW-P013 spec.mode/),
      detail: {
        violations: [{ field: `${file}:1:13 apiVersion` }, { field: `${file}:4:15 spec.mode` }],
      },
    });
  });

  it('waits for no pipe', async () => {
    const file = join(dir, 'pipe');
    await promisify(execFile)('mkfifo', [file]);
    expect(await readPolicyFile(file)).toMatchObject({
      ok: false,
      problems: [{ id: 'VW-P005', message: 'not a regular file' }],
    });
  });

  it('reads at most 1 MiB, and only text', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, '#'.repeat(1_048_577));
    expect(await readPolicyFile(file)).toMatchObject({ ok: false, problems: [{ id: 'VW-P002' }] });
    await writeFile(file, new Uint8Array([0x61, 0xff]));
    expect(await readPolicyFile(file)).toMatchObject({
      ok: false,
      problems: [{ id: 'VW-P001', message: 'the file is not UTF-8 text' }],
    });
  });

  it('takes a byte order mark, and hashes the bytes of the file', async () => {
    const file = join(dir, 'policy.yaml');
    await writeFile(file, `\ufeff${text('one')}`);
    const { stdout } = await promisify(execFile)('sha256sum', [file]);
    expect(await readPolicyFile(file)).toMatchObject({
      ok: true,
      policy: { hash: stdout.slice(0, 64) },
    });
  });
});
