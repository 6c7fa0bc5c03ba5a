import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { configCheck } from '../../src/cli/config-check.js';
import { events } from '../../src/cli/events.js';
import { healthcheck } from '../../src/cli/healthcheck.js';
import { openSource } from '../../src/cli/open-source.js';
import { release } from '../../src/cli/release.js';
import { report } from '../../src/cli/report.js';
import { vms } from '../../src/cli/vms.js';
import { encodeHostHold, HOST_HOLD_ROW } from '../../src/engine/host-hold.js';
import { encodeVmRow, newVmRow, vmRowKey } from '../../src/engine/vm-row.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { vmView } from '../support/fake-engine.js';
import { fakeIo } from '../support/fake-io.js';
import { privateFolder, startTestServer } from '../support/grpc-server.js';
import { waitFor } from '../support/wait-for.js';

const CRASH = '03000000'.padEnd(320, '0');

const crashLine = JSON.stringify({
  arch: 'x86_64',
  capSystemEventData: 1,
  rawHex: CRASH,
  note: 'ignored',
});

describe('report', () => {
  test('reports one record given in hex', async () => {
    const server = await startTestServer();
    const io = fakeIo();
    const code = await report(io, server.socket, {
      vm: 'web-1',
      arch: 'x86_64',
      cap: 1,
      hex: CRASH,
      requestId: 'r-1',
      bootId: 'b-1',
    });
    expect(code).toBe(0);
    expect(io.out()).toBe('web-1: CRASH origin=HYPERV_CRASH_MSR; record 1, decided\n');
    expect(server.engine.reports).toMatchObject([
      { vm: 'web-1', bootId: 'b-1', key: { kind: 'request', requestId: 'r-1' } },
    ]);
  });

  test('reports lines, tells which are none, and goes on', async () => {
    const server = await startTestServer();
    const lines = [
      crashLine,
      'not json',
      '',
      JSON.stringify({ arch: 'x86_64', exitReason: 6, rawHex: '00' }),
      JSON.stringify({ arch: 'x86_64', capSystemEventData: 1, rawHex: '03' }),
      JSON.stringify({ arch: 'x86_64', rawHex: '0' }),
      crashLine,
    ];
    const io = fakeIo({ stdin: lines.join('\n') });
    const code = await report(io, server.socket, {
      vm: 'web-1',
      file: '-',
      requestId: 'run',
      json: true,
    });
    expect(code).toBe(1);
    expect(io.json()).toMatchObject([
      { line: 1, sequence: 1, disposition: 'decided', repeat: false, event: { type: 'CRASH' } },
      { line: 2, error: 'BAD_INPUT' },
      { line: 4, error: 'NOT_A_SYSTEM_EVENT' },
      { line: 5, error: 'TRUNCATED' },
      { line: 6, error: 'BAD_INPUT', message: expect.stringContaining('rawHex') },
      { line: 7, sequence: 2 },
    ]);
    expect(server.engine.reports.map(({ key }) => key)).toEqual([
      { kind: 'request', requestId: 'run-1' },
      { kind: 'request', requestId: 'run-7' },
    ]);
  });

  test('tells what the server found wrong, field by field', async () => {
    const server = await startTestServer();
    const io = fakeIo();
    const code = await report(io, server.socket, { vm: 'no/slash', arch: 'x86_64', hex: CRASH });
    expect(code).toBe(1);
    expect(io.err()).toContain('INVALID_FIELDS');
    expect(io.err()).toContain('  vm_id: got "no/slash", expected 1 to 253 characters');
  });

  test('needs one of --hex and --file', async () => {
    const io = fakeIo();
    expect(await report(io, '/nowhere', { vm: 'a' })).toBe(2);
    expect(await report(io, '/nowhere', { vm: 'a', hex: '00', file: '-' })).toBe(2);
  });

  test('nobody there is a fault, not a hang', async () => {
    const socket = join(await privateFolder(), 's');
    await expect(
      report(fakeIo({ stdin: `${crashLine}\n${crashLine}` }), socket, { vm: 'a', file: '-' }),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(socket) });
  });
});

describe('events', () => {
  const serverWithEvents = async () => {
    const labels = new Map([['a', { tier: 'gold', rack: '7' }]]);
    const server = await startTestServer({ labels });
    for (const vm of ['a', 'b', 'a', 'c']) {
      await report(fakeIo(), server.socket, { vm, arch: 'x86_64', cap: 1, hex: CRASH });
    }
    const source = await openSource({ socket: server.socket, dataDir: '/nowhere' });
    return { server, source };
  };

  const listed = (io: ReturnType<typeof fakeIo>): unknown[] =>
    io.json().map(({ sequence }) => sequence);

  test.each([
    { options: { limit: 50 }, expected: [1, 2, 3, 4] },
    { options: { limit: 2 }, expected: [3, 4] },
    { options: { limit: 0 }, expected: [1, 2, 3, 4] },
    { options: { limit: 1, vm: ['a'] }, expected: [3] },
    { options: { limit: 1, vm: ['a', 'b'], kind: ['event'] }, expected: [3] },
    { options: { limit: 1, after: 2n }, expected: [3, 4] },
    { options: { limit: 9, kind: ['decision'] }, expected: [] },
    { options: { limit: 2, type: ['CRASH', 'RESET'] as const }, expected: [3, 4] },
    { options: { limit: 9, type: ['RESET'] as const }, expected: [] },
    { options: { limit: 9, label: { tier: 'gold' } }, expected: [1, 3] },
    { options: { limit: 1, label: { tier: 'gold', rack: '7' } }, expected: [3] },
    { options: { limit: 0, label: { tier: 'silver' } }, expected: [] },
    { options: { limit: 9, vm: ['b'], label: { tier: 'gold' } }, expected: [] },
  ])('lists with $options', async ({ options, expected }) => {
    const { source } = await serverWithEvents();
    expect(source.kind).toBe('server');
    const io = fakeIo();
    expect(await events(io, source, { ...options, json: true })).toBe(0);
    expect(listed(io)).toEqual(expected);
  });

  test('a line for a person holds what a guest wrote, and no control of the terminal', async () => {
    const { source } = await serverWithEvents();
    const io = fakeIo();
    await events(io, source, { limit: 1 });
    expect(io.out()).toMatch(/^ {7}4 {2}1970-01-01T00:00:00.000Z {2}c {17}event {5}CRASH /);
    const coloured = fakeIo({ terminal: true });
    await events(coloured, source, { limit: 1 });
    expect(coloured.out()).toContain('\u001b[');
    const plain = fakeIo({ terminal: true, env: { NO_COLOR: '1' } });
    await events(plain, source, { limit: 1 });
    expect(plain.out()).toBe(io.out());
  });

  test.each([{ limit: 1 }, { limit: 1, vm: ['a', 'c'] }])(
    'follows what comes, until the server says that it stops ($vm)',
    async (options) => {
      const { server, source } = await serverWithEvents();
      const io = fakeIo();
      const following = events(io, source, { ...options, follow: true, json: true });
      const ended = expect(following).rejects.toMatchObject({ reason: 'STOPPING' });
      await waitFor('the newest', () => listed(io).length === 1);
      await report(fakeIo(), server.socket, { vm: 'c', arch: 'x86_64', cap: 1, hex: CRASH });
      await waitFor('what came', () => listed(io).length === 2);
      await server.running.stop(5000);
      await ended;
      expect(listed(io)).toEqual([4, 5]);
    },
  );
});

describe('without a server', () => {
  const leftBehind = async () => {
    const dataDir = await privateFolder();
    await mkdir(join(dataDir, 'journal'));
    const journal = await openLmdbJournal({
      dir: join(dataDir, 'journal'),
      reserveBytes: 0,
      pid: process.pid,
    });
    const record = (vmId: string) => ({
      vm: vmId,
      bytes: Record.encode(
        Record.fromPartial({ vmId, body: { $case: 'loss', value: { reason: 'test' } } }),
      ).finish(),
    });
    await journal.append({
      kind: 'ingest',
      records: [record('a'), record('b'), record('a')],
      rows: [
        { key: vmRowKey('a'), value: encodeVmRow(newVmRow('a', 'u-1')) },
        { key: HOST_HOLD_ROW, value: encodeHostHold({ atMs: 0, actor: 'ann', reason: 'kernel' }) },
      ],
    }).durable;
    await journal.close();
    const vms = [{ id: 'b', labels: { tier: 'gold' } }];
    return { socket: join(dataDir, 'vmwarden.sock'), dataDir, vms };
  };

  test.each([
    { options: { limit: 50 }, expected: [1, 2, 3] },
    { options: { limit: 1 }, expected: [3] },
    { options: { limit: 1, vm: ['a'] }, expected: [3] },
    { options: { limit: 5, vm: ['b'], kind: ['loss'] }, expected: [2] },
    { options: { limit: 1, after: 1n }, expected: [2, 3] },
    { options: { limit: 5, label: { tier: 'gold' } }, expected: [2] },
    { options: { limit: 0, label: { tier: 'gold' } }, expected: [2] },
    { options: { limit: 5, type: ['CRASH'] as const }, expected: [] },
  ])('events reads the journal with $options', async ({ options, expected }) => {
    const source = await openSource(await leftBehind());
    expect(source.kind).toBe('journal');
    const io = fakeIo();
    expect(await events(io, source, { ...options, json: true })).toBe(0);
    expect(io.json().map(({ sequence }) => sequence)).toEqual(expected);
    await source.close();
  });

  test('vms reads the rows; to follow needs a server', async () => {
    const place = await leftBehind();
    const source = await openSource(place);
    const io = fakeIo();
    expect(await vms(io, source, { json: true })).toBe(0);
    expect(io.json()).toMatchObject([
      {
        ...{ id: 'a', uid: 'u-1', phase: 'well', contact: 'none' },
        hostHold: { since: '1970-01-01T00:00:00.000Z', actor: 'ann', reason: 'kernel' },
      },
    ]);
    const told = fakeIo();
    await vms(told, source, {});
    expect(told.out()).toMatch(
      /^The host is held since 1970-01-01T00:00:00.000Z by ann: kernel\. /,
    );
    await expect(events(io, source, { limit: 1, follow: true })).rejects.toMatchObject({
      reason: 'NOT_SERVING',
      message: expect.stringContaining(place.socket),
    });
    await source.close();
  });

  test('no journal either is a fault that names the place', async () => {
    const dataDir = await privateFolder();
    await expect(openSource({ socket: join(dataDir, 's'), dataDir })).rejects.toMatchObject({
      reason: 'JOURNAL_NOT_FOUND',
    });
  });
});

describe('vms and release', () => {
  const held = vmView('web-1', {
    driver: 'qemu',
    contact: 'connected',
    state: 'guest-panicked',
    phase: 'held',
    reason: 'budget crash is used up\u001b[2J',
    budgets: [{ name: 'crash', used: 3, limit: { attempts: 3, withinMs: 3_600_000 } }],
    warnings: ['rule "x" can not take effect'],
  });

  test('a table for people, an object a line for programs', async () => {
    const server = await startTestServer({ vms: [held, vmView('web-2')] });
    const source = await openSource({ socket: server.socket, dataDir: '/nowhere' });
    const io = fakeIo();
    expect(await vms(io, source, {})).toBe(0);
    expect(io.out().split('\n')).toEqual([
      'VM     DRIVER   CONTACT    STATE           BOOT  PHASE  NEXT  BUDGETS    WHY',
      'web-1  qemu     connected  guest-panicked  1     held   -     crash 3/3  budget crash is used up?[2J',
      '  warning: rule "x" can not take effect',
      'web-2  observe  none       -               1     well   -     -',
      '',
    ]);
    const json = fakeIo();
    await vms(json, source, { json: true });
    expect(json.json()).toMatchObject([
      { id: 'web-1', phase: 'held', budgets: [{ name: 'crash', used: 3, limit: 3 }] },
      { id: 'web-2', phase: 'well' },
    ]);
  });

  test('more VMs than a page holds', async () => {
    const many = Array.from({ length: 1001 }, (_, at) =>
      vmView(`vm-${String(at).padStart(4, '0')}`),
    );
    const server = await startTestServer({ vms: many });
    const source = await openSource({ socket: server.socket, dataDir: '/nowhere' });
    const ids = (await source.vms()).map(({ id }) => id);
    expect(ids).toEqual(many.map(({ id }) => id));
  });

  test('release ends a hold, and tells a VM that is not known', async () => {
    const server = await startTestServer({ vms: [held] });
    const io = fakeIo();
    const act = { actor: 'ann', reason: 'checked the guest' };
    expect(await release(io, server.socket, 'web-1', { ...act, json: true })).toBe(0);
    expect(io.json()).toMatchObject([{ id: 'web-1', phase: 'well' }]);
    await expect(release(io, server.socket, 'nobody', act)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'VM_UNKNOWN',
      detail: { metadata: { vm: 'nobody' } },
    });
    await expect(
      release(io, server.socket, 'web-1', { actor: '', reason: '' }),
    ).rejects.toMatchObject({ reason: 'INVALID_FIELDS' });
  });
});

describe('healthcheck', () => {
  test('0 while it serves, with what is degraded; 1 when it does not', async () => {
    const server = await startTestServer();
    server.health.degraded('policy', 'policy.yaml:3:1: broken');
    const io = fakeIo();
    expect(await healthcheck(io, server.socket, { timeout: 5000 })).toBe(0);
    expect(io.out()).toBe('SERVING\n  policy: policy.yaml:3:1: broken\n');
    server.health.down('journal', 'no space');
    const json = fakeIo();
    expect(await healthcheck(json, server.socket, { timeout: 5000, json: true })).toBe(1);
    expect(await healthcheck(fakeIo(), server.socket, { timeout: 5000, live: true })).toBe(0);
    expect(json.json()).toMatchObject([
      { status: 'NOT_SERVING', detail: ['journal: no space', 'policy: policy.yaml:3:1: broken'] },
    ]);
  });

  test('1 when nobody is there', async () => {
    const io = fakeIo();
    const socket = join(await privateFolder(), 's');
    expect(await healthcheck(io, socket, { timeout: 2000 })).toBe(1);
    expect(await healthcheck(fakeIo(), socket, { timeout: 2000, live: true })).toBe(1);
    expect(io.out()).toMatch(/^UNREACHABLE\n/);
    expect(io.out()).toContain(`No vmwarden listens on ${socket}; start one: vmwarden serve`);
  });
});

describe('config check', () => {
  test('says what would be used', async () => {
    const cwd = await privateFolder();
    const io = fakeIo({ cwd });
    expect(await configCheck(io, {})).toBe(0);
    expect(io.out()).toContain(`data in ${cwd}/.vmwarden`);
    const json = fakeIo({ cwd });
    expect(await configCheck(json, { json: true, logLevel: 'debug' })).toBe(0);
    expect(json.json()).toMatchObject([
      { kind: 'result', ok: true, config: { log: { level: 'debug' } } },
    ]);
  });

  test('lists all problems, one a line', async () => {
    const cwd = await privateFolder();
    const file = join(cwd, 'vmwarden.yaml');
    await writeFile(file, 'lgo: 1\nvms: 5\n');
    const flags = { config: 'vmwarden.yaml', socket: 'x'.repeat(200) };
    const io = fakeIo({ cwd, env: { VMWARDEN_LOG_LEVEL: 'x' } });
    expect(await configCheck(io, flags)).toBe(1);
    expect(io.out().trimEnd().split('\n').sort()).toEqual([
      'environment VMWARDEN_LOG_LEVEL: log.level: got "x", expected one of trace, debug, info, warn, error',
      'vmwarden.yaml:1:1: lgo: unknown key "lgo" (did you mean log?)',
      'vmwarden.yaml:2:6: vms: got 5, expected a list',
    ]);
    const json = fakeIo({ cwd });
    expect(await configCheck(json, { ...flags, json: true })).toBe(1);
    expect(json.json().at(-1)).toEqual({ kind: 'result', ok: false });
    expect(json.json()[0]).toMatchObject({ kind: 'problem', place: 'vmwarden.yaml:1:1' });
  });

  test('checks the policy file that serve would refuse', async () => {
    const cwd = await privateFolder();
    const absent = fakeIo({ cwd });
    expect(await configCheck(absent, { policy: 'policy.yaml' })).toBe(1);
    expect(absent.out()).toContain('policy.yaml');
    await writeFile(join(cwd, 'policy.yaml'), 'apiVersion: vmwarden.dev/v1\nkind: EventPolicy\n');
    const broken = fakeIo({ cwd });
    expect(await configCheck(broken, { policy: 'policy.yaml', json: true })).toBe(1);
    expect(broken.json().at(-1)).toMatchObject({ kind: 'result', ok: false });
  });

  test('shows what patterns of sockets match now, and what is refused', async () => {
    const cwd = await privateFolder();
    await mkdir(join(cwd, 'vms', 'web-1'), { recursive: true });
    await mkdir(join(cwd, 'vms', 'web-2'));
    const server = createServer().listen(join(cwd, 'vms', 'web-1', 'qmp'));
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    await symlink('/nowhere', join(cwd, 'vms', 'web-2', 'qmp'));
    const pattern = '{ driver: { kind: qemu, socket: "vms/{id}/qmp" }, labels: { of: "{id}" } }';
    await writeFile(join(cwd, 'vmwarden.yaml'), `discover: [${pattern}]\n`);
    const io = fakeIo({ cwd });
    expect(await configCheck(io, { config: 'vmwarden.yaml' })).toBe(0);
    expect(io.out().split('\n').slice(0, 3)).toEqual([
      `discover: ${cwd}/vms/{id}/qmp`,
      `  VM web-1 (of=web-1): ${cwd}/vms/web-1/qmp`,
      `  not taken: ${cwd}/vms/web-2/qmp is a symbolic link; expected the socket itself`,
    ]);
    const json = fakeIo({ cwd });
    expect(await configCheck(json, { config: 'vmwarden.yaml', json: true })).toBe(0);
    expect(json.json()[0]).toMatchObject({
      kind: 'discovery',
      vms: [{ id: 'web-1', labels: { of: 'web-1' } }],
      refused: [{ path: `${cwd}/vms/web-2/qmp` }],
    });
  });

  test('a device or a huge file is not read to its end', async () => {
    const cwd = await privateFolder();
    await writeFile(join(cwd, 'big.yaml'), '#'.repeat(2 * 1024 * 1024));
    const io = fakeIo({ cwd });
    expect(await configCheck(io, { config: 'big.yaml' })).toBe(1);
    expect(io.out()).toContain('larger than 1048576 bytes');
    expect(readFileSync(join(cwd, 'big.yaml')).length).toBeGreaterThan(1024 * 1024);
  });
});
