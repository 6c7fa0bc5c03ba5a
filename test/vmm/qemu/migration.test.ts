import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Guest } from '../../../src/guest/guest.js';
import { describePart } from '../../support/parts.js';
import { otherMonitor, startQemu, tempDir, type Watcher, watch } from '../../support/qemu-rig.js';
import type { QmpClient } from '../../support/qmp-client.js';
import { waitFor } from '../../support/wait-for.js';

interface Side {
  readonly guest: Guest;
  readonly other: QmpClient;
  readonly vm: Watcher;
}

interface Pair {
  readonly source: Side;
  readonly target: Side;
  readonly uri: string;
}

const WAITS = ['-action', 'panic=pause'];
const ACTIVE = ['setup', 'active', 'device', 'pre-switchover'];

const status = async (side: Side): Promise<string> =>
  ((await side.other.run('query-status')) as { status: string }).status;

const migration = async (side: Side): Promise<string> =>
  ((await side.other.run('query-migrate')) as { status?: string }).status ?? 'none';

/** Two QEMUs, of which one waits for the other's guest; and one who looks all the time that only one runs. */
const pair = async (): Promise<Pair> => {
  const dir = await tempDir();
  const uri = `unix:${path.join(dir, 'migration')}`;
  const side = async (name: string, args: readonly string[]): Promise<Side> => {
    const guest = await startQemu([...WAITS, ...args], { dir, name });
    const other = await otherMonitor(guest);
    const vm = watch(guest.qmpSocket, { tuning: { migrationPollMs: 20 } });
    await vm.connected();
    return { guest, other, vm };
  };
  const source = await side('source', []);
  const target = await side('target', ['-incoming', uri]);
  neverTwo(source, target);
  return { source, target, uri };
};

const neverTwo = (source: Side, target: Side): void => {
  let over = false;
  const both: string[] = [];
  const looking = (async () => {
    while (!over) {
      // What runs stays so until another command: a source seen running after the target is two at once.
      const second = await status(target).catch(() => 'gone');
      const first = await status(source).catch(() => 'gone');
      if (first === 'running' && second === 'running') both.push(`${first} ${second}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  onTestFinished(async () => {
    over = true;
    await looking;
    expect(both).toEqual([]);
  });
};

/** Slow enough that it is still going on when the test looks. */
const startSlowly = async ({ source, uri }: Pair): Promise<void> => {
  await source.other.run('migrate-set-parameters', { 'max-bandwidth': 4096 });
  await source.other.run('migrate', { uri });
  await waitFor('the migration goes on', async () => (await migration(source)) === 'active');
};

const finish = async ({ source }: Pair): Promise<void> => {
  await source.other.run('migrate-set-parameters', { 'max-bandwidth': 1024 ** 3 });
  await waitFor('the migration is over', async () => !ACTIVE.includes(await migration(source)));
  expect(await migration(source)).toBe('completed');
};

const refusesAll = async ({ vm }: Side): Promise<void> => {
  const dump = path.join(await tempDir(), 'dump');
  const outcomes = [
    await vm.driver.restart(vm.act()),
    await vm.driver.restart(vm.act({ cause: { boots: null, resumed: true } })),
    await vm.driver.powerOff(vm.act()),
    await vm.driver.pause(vm.act()),
    await vm.driver.resume(vm.act()),
    await vm.driver.dump({ ...vm.act(), path: dump }),
  ];
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ kind: 'unsupported', reason: 'MIGRATING' });
  }
};

describePart('qemu-system-x86_64', 'a live migration between two QEMUs', () => {
  it('is left alone on both sides, and the guest belongs to the target after it', async () => {
    const both = await pair();
    const { source, target } = both;
    const [first] = target.vm.sightings;
    expect(first).toMatchObject({ inspection: { state: 'migrating', raw: 'inmigrate' } });
    await startSlowly(both);
    await refusesAll(source);
    await refusesAll(target);
    await finish(both);
    expect(await target.vm.connected()).toMatchObject({
      continuous: true,
      inspection: { state: 'running' },
    });
    await target.guest.ping();
    await refusesAll(source);

    target.guest.send('panic');
    const { boots } = await target.vm.event('CRASH');
    await refusesAll(source);
    const act = target.vm.act({ cause: { boots, resumed: false } });
    expect(await target.vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await target.guest.booted(1);

    // Somebody resets what was left behind: it must not be started for that.
    await source.other.run('system_reset');
    await source.vm.event('RESET');
    expect(await status(source)).toBe('prelaunch');
    await refusesAll(source);
    await source.vm.stop();
    const again = watch(source.guest.qmpSocket);
    await again.connected();
    await refusesAll({ ...source, vm: again });
    expect(source.guest.boots()).toBe(1);
    expect(target.vm.told()).toEqual([
      'CRASH guest guest-panic',
      'RESET vmwarden host-qmp-system-reset',
    ]);
  });

  it('carries a panicked guest over: the target finds it and answers', async () => {
    const both = await pair();
    const { source, target } = both;
    source.guest.send('panic');
    await source.vm.event('CRASH');
    await startSlowly(both);
    await refusesAll(source);
    await finish(both);
    await refusesAll(source);
    const { report, boots, state } = await target.vm.event('CRASH');
    expect({ reconciled: report.reconciled, state }).toEqual({
      reconciled: true,
      state: 'panicked',
    });
    const act = target.vm.act({ cause: { boots, resumed: false } });
    expect(await target.vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await target.guest.booted(1);
    await target.guest.ping();
    expect(source.guest.boots()).toBe(1);
  });

  it('takes a panic on the way: nothing is done until it has arrived', async () => {
    const both = await pair();
    const { source, target } = both;
    await startSlowly(both);
    source.guest.send('panic');
    await source.vm.event('CRASH');
    await refusesAll(source);
    await finish(both);
    const { boots } = await target.vm.event('CRASH');
    await refusesAll(source);
    const act = target.vm.act({ cause: { boots, resumed: false } });
    expect(await target.vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await target.guest.booted(1);
    expect(source.guest.boots()).toBe(1);
  });

  it('is cancelled with the guest panicked: the source answers then', async () => {
    const both = await pair();
    const { source, target } = both;
    await startSlowly(both);
    source.guest.send('panic');
    await source.vm.event('CRASH');
    await refusesAll(source);
    await source.other.run('migrate_cancel');
    const { report, boots } = await source.vm.event('CRASH');
    expect(report.reconciled).toBe(true);
    const act = source.vm.act({ cause: { boots, resumed: false } });
    expect(await source.vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await source.guest.booted(2);
    await source.guest.ping();
    expect(target.guest.boots()).toBe(0);
  });

  it('fails because the target dies: the source answers then', async () => {
    const both = await pair();
    const { source, target } = both;
    await startSlowly(both);
    source.guest.send('panic');
    await source.vm.event('CRASH');
    await refusesAll(source);
    process.kill(target.guest.pid, 'SIGKILL');
    await target.vm.event('VMM_EXITED');
    const { boots } = await source.vm.event('CRASH');
    const act = source.vm.act({ cause: { boots, resumed: false } });
    expect(await source.vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await source.guest.booted(2);
  });

  it('ends a source that is no longer needed by the host, not by a failure', async () => {
    const both = await pair();
    const { source } = both;
    await startSlowly(both);
    await refusesAll(source);
    await finish(both);
    const { raw } = await source.vm.driver.inspect(new AbortController().signal);
    expect(raw).toBe('postmigrate');
    process.kill(source.guest.pid, 'SIGKILL');
    await source.vm.event('VMM_EXITED');
    expect(source.vm.told()).toEqual(['VMM_EXITED host postmigrate']);
  });

  it('begins in the same moment as a restart, at full speed: never two that run', async () => {
    for (let round = 0; round < 8; round += 1) {
      const both = await pair();
      const { source, target, uri } = both;
      source.guest.send('panic');
      const { boots } = await source.vm.event('CRASH');
      const migrating = source.other.run('migrate', { uri });
      // From before the command is carried out to after the migration is over.
      await new Promise((resolve) => setTimeout(resolve, round));
      const act = source.vm.act({ cause: { boots, resumed: false } });
      const outcome = await source.vm.driver.restart(act);
      await migrating;
      await waitFor('it is over', async () => (await migration(source)) === 'completed');
      expect(await status(source)).toBe('postmigrate');
      expect(['applied', 'unsupported']).toContain(outcome.kind);
      if (outcome.kind === 'applied') await target.guest.ping();
      else await target.vm.event('CRASH');
      await refusesAll(source);
    }
  });
});
