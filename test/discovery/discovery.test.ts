import { mkdir, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DiscoverConfig, VmConfig } from '../../src/config/config.js';
import { type Discovery, type Fleet, openDiscovery } from '../../src/discovery/discovery.js';
import type { Journal } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { parsePathTemplate } from '../../src/lib/path-template.js';
import { ManualClock } from '../support/engine-bench.js';
import { RELEASE, tempDir, vmConfig } from '../support/qemu-rig.js';
import { waitFor } from '../support/wait-for.js';

const OWN = process.getuid?.() ?? 0;
const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };

const pattern = (socket: string, changes: Partial<DiscoverConfig> = {}): DiscoverConfig => {
  const parsed = parsePathTemplate(socket);
  if (!parsed.ok) throw new Error(parsed.expected);
  return {
    driver: { kind: 'qemu', socket: parsed.template },
    id: '{id}',
    uid: '',
    labels: {},
    takeOver: false,
    release: RELEASE,
    owners: [],
    retireAfterMs: 60_000,
    ...changes,
  };
};

const listen = async (dir: string, id: string): Promise<string> => {
  await mkdir(join(dir, id), { recursive: true });
  const server = net.createServer();
  const path = join(dir, id, 'qmp');
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  onTestFinished(() => void server.close());
  return path;
};

/** What an engine would do, and what the tests say of VMs. */
class FakeFleet implements Fleet {
  readonly attached: VmConfig[] = [];
  readonly retired: string[] = [];
  readonly connected = new Set<string>();
  readonly exited = new Set<string>();
  readonly open = new Set<string>();

  async attach(vm: VmConfig): Promise<void> {
    this.attached.push(vm);
  }

  async retire(id: string): Promise<boolean> {
    if (this.open.has(id)) return false;
    this.retired.push(id);
    return true;
  }

  look(id: string): { connected: boolean; exited: boolean } {
    return { connected: this.connected.has(id), exited: this.exited.has(id) };
  }
}

interface Rig {
  readonly discovery: Discovery;
  readonly fleet: FakeFleet;
  readonly health: Map<string, string>;
  readonly clock: ManualClock;
  readonly journal: Journal;
}

const start = async (
  patterns: readonly DiscoverConfig[],
  options: { named?: readonly VmConfig[]; journal?: Journal; clock?: ManualClock } = {},
): Promise<Rig> => {
  const clock = options.clock ?? new ManualClock();
  const journal = options.journal ?? new MemoryJournal({ now: () => clock.wallMs });
  const health = new Map<string, string>();
  const discovery = await openDiscovery({
    patterns,
    named: options.named ?? [],
    journal,
    clock,
    log,
    health: {
      up: (part) => void health.delete(part),
      degraded: (part, why) => void health.set(part, why),
    },
    ownUid: OWN,
    times: { rescanMs: 100, debounceMs: 5 },
  });
  onTestFinished(() => discovery.stop());
  return { discovery, fleet: new FakeFleet(), health, clock, journal };
};

const ids = (vms: readonly VmConfig[]) => vms.map(({ id }) => id);

describe('discovery', () => {
  test('knows from the start what is there, and what comes after', async () => {
    const dir = await tempDir();
    await listen(dir, 'a');
    const labels = { made: 'by-{id}' };
    const rig = await start([pattern(`${dir}/{id}/qmp`, { labels, uid: 'u-{id}' })]);
    expect(rig.discovery.vms).toMatchObject([
      { id: 'a', uid: 'u-a', labels: { made: 'by-a' }, socketOwners: [0, ...(OWN ? [OWN] : [])] },
    ]);
    rig.discovery.follow(rig.fleet);
    await listen(dir, 'b');
    await waitFor('b is found', () => rig.fleet.attached.length === 1);
    expect(rig.fleet.attached).toMatchObject([
      { id: 'b', driver: { kind: 'qemu', socket: join(dir, 'b', 'qmp') } },
    ]);
    expect(rig.health.size).toBe(0);
  });

  test('lets the configuration go first, and says so', async () => {
    const dir = await tempDir();
    const a = await listen(dir, 'a');
    const b = await listen(dir, 'b');
    await listen(dir, 'c');
    const named = [
      { ...vmConfig(a), id: 'a' },
      { ...vmConfig('/elsewhere/qmp'), id: 'c' },
      { ...vmConfig(b), id: 'other' },
    ];
    const rig = await start([pattern(`${dir}/{id}/qmp`)], { named });
    expect(rig.discovery.vms).toEqual([]);
    expect(rig.health.get('discovery')).toBe(
      `${b} is the socket of VM other in vms[]; not taken for VM b; ` +
        `${join(dir, 'c', 'qmp')} is VM c, which vms[] has already, elsewhere; that one counts`,
    );
  });

  test('refuses names that are no VM ids, and two sockets of one VM', async () => {
    const dir = await tempDir();
    await listen(dir, 'a b\n\u202e');
    await listen(dir, 'x-1');
    await listen(dir, 'y-1');
    const rig = await start([pattern(`${dir}/{set}-{id}/qmp`), pattern(`${dir}/{id}/qmp`)]);
    expect(ids(rig.discovery.vms)).toEqual(['1']);
    const said = rig.health.get('discovery') ?? '';
    expect(said).toContain('gives the VM id "a b\\n?"; expected 1 to 253 characters');
    expect(said).toContain(`y-1/qmp is VM 1, which ${join(dir, 'x-1', 'qmp')} is already`);
    expect(said).not.toMatch(/[\n\u202e]/);
  });

  test('retires who is gone for good, but none in contact or with something open', async () => {
    const dir = await tempDir();
    for (const id of ['gone', 'held', 'spoken-to', 'stays']) await listen(dir, id);
    const rig = await start([pattern(`${dir}/{id}/qmp`)]);
    rig.fleet.open.add('held');
    rig.fleet.connected.add('spoken-to');
    rig.discovery.follow(rig.fleet);
    for (const id of ['gone', 'held', 'spoken-to']) await rm(join(dir, id), { recursive: true });
    // Only once it has been seen that they are gone does their time run.
    const row = async () => Buffer.from(rig.journal.lookup('discovered/gone') ?? '').toString();
    await waitFor('it is seen', async () => /"goneAtMs":\d/.test(await row()));
    rig.clock.advance(59_000);
    await listen(dir, 'later');
    await waitFor('a scan', () => rig.fleet.attached.length === 1);
    expect(rig.fleet.retired).toEqual([]);
    rig.clock.advance(2_000);
    await waitFor('it is retired', () => rig.fleet.retired.length > 0);
    await listen(dir, 'last');
    await waitFor('a scan', () => rig.fleet.attached.length === 2);
    expect(rig.fleet.retired).toEqual(['gone']);
    rig.fleet.open.clear();
    await waitFor('it is closed', () => rig.fleet.retired.includes('held'));

    const next = await start([pattern(`${dir}/{id}/qmp`)], rig);
    expect(next.discovery.retired.toSorted()).toEqual(['gone', 'held']);
    expect(ids(next.discovery.vms).toSorted()).toEqual(['last', 'later', 'spoken-to', 'stays']);
  });

  test('takes a socket that its VM was retired with for nothing new, and another one for a new life', async () => {
    const dir = await tempDir();
    await listen(dir, 'a');
    await listen(dir, 'b');
    const rig = await start([pattern(`${dir}/{id}/qmp`)]);
    rig.fleet.exited.add('a');
    rig.discovery.follow(rig.fleet);
    const row = () => Buffer.from(rig.journal.lookup('discovered/a') ?? '').toString();
    await waitFor('it is seen', () => /"goneAtMs":\d/.test(row()));
    rig.clock.advance(60_000);
    await waitFor('it is retired', () => rig.fleet.retired.length === 1);
    await listen(dir, 'c');
    await waitFor('a scan', () => rig.fleet.attached.length === 1);
    expect(ids(rig.fleet.attached)).toEqual(['c']);
    // Made elsewhere, so that no inode is used again.
    await rename(join(dir, 'b'), join(dir, 'kept-b'));
    await rename(await listen(dir, '.new'), join(dir, 'a', 'qmp'));
    await waitFor('it is back', () => ids(rig.fleet.attached).includes('a'));
  });

  test('knows a VM whose socket went while nobody looked', async () => {
    const dir = await tempDir();
    await listen(dir, 'a');
    const rig = await start([pattern(`${dir}/{id}/qmp`)]);
    await rig.discovery.stop();
    await rm(join(dir, 'a'), { recursive: true });
    const next = await start([pattern(`${dir}/{id}/qmp`)], rig);
    expect(ids(next.discovery.vms)).toEqual(['a']);
    const elsewhere = await start([pattern(`${dir}/other/{id}/qmp`)], rig);
    expect(elsewhere.discovery.vms).toEqual([]);
  });

  test('follows a VM to another path, unless it is spoken to by the first', async () => {
    const dir = await tempDir();
    await listen(dir, 'one/a');
    const rig = await start([pattern(`${dir}/{set}/{id}/qmp`)]);
    rig.fleet.connected.add('a');
    rig.discovery.follow(rig.fleet);
    await mkdir(join(dir, 'two'));
    await rename(join(dir, 'one', 'a'), join(dir, 'two', 'a'));
    await waitFor('it is told', () => rig.health.has('discovery'));
    expect(rig.health.get('discovery')).toContain('is VM a, which is in contact by');
    expect(rig.fleet.attached).toEqual([]);
    rig.fleet.connected.clear();
    await waitFor('it is followed', () => rig.fleet.attached.length === 1);
    expect(rig.fleet.attached[0]?.driver).toEqual({
      kind: 'qemu',
      socket: join(dir, 'two', 'a', 'qmp'),
    });
    await waitFor('all is well', () => !rig.health.has('discovery'));
  });

  test('finds no more than 1,000 VMs, and keeps those that it has', async () => {
    const dir = await tempDir();
    await Promise.all(
      Array.from({ length: 1_002 }, (_, index) =>
        listen(dir, `m-${String(index).padStart(4, '0')}`),
      ),
    );
    const rig = await start([pattern(`${dir}/{id}/qmp`)]);
    expect(rig.discovery.vms).toHaveLength(1_000);
    expect(rig.health.get('discovery')).toContain('is one more than the 1000 VMs');
    rig.discovery.follow(rig.fleet);
    await listen(dir, 'a-first');
    await waitFor('it is refused', () => /a-first/.test(rig.health.get('discovery') ?? ''), 30_000);
    expect(rig.fleet.attached).toEqual([]);
  }, 60_000);
});
