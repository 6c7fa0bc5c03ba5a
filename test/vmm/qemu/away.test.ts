import { expect, it } from 'vitest';
import type { ReleaseConfig } from '../../../src/config/config.js';
import type { Guest, GuestCommand } from '../../../src/guest/guest.js';
import type { GuestState, TakeOver } from '../../../src/vmm/driver.js';
import { describePart } from '../../support/parts.js';
import { otherMonitor, startQemu, type Watcher, watch } from '../../support/qemu-rig.js';

// What docs/drivers/qemu.md says that a guest does while vmwarden is away; each row of its table is a case here.

const ALL: TakeOver = { panic: true, shutdown: true, watchdog: true };
const NOW = new AbortController().signal;

type Fate = 'ends' | 'boots again' | { readonly waits: string };

/** Told by events alone: a command sent to a QEMU that is ending can hang it. */
const fateOf = async (guest: Guest, command: GuestCommand): Promise<Fate> => {
  const other = await otherMonitor(guest);
  guest.send(command);
  const never = new Promise<never>(() => undefined);
  const stopped = other.event('STOP').then(async (): Promise<Fate> => {
    const { status } = (await other.run('query-status')) as { status: string };
    return { waits: status };
  });
  return await Promise.race([
    guest.exited.then((): Fate => 'ends'),
    guest.booted(2).then(
      (): Fate => 'boots again',
      () => never,
    ),
    stopped.catch(() => never),
  ]);
};

const leave = {
  stopped: async (vm: Watcher): Promise<void> => {
    await vm.driver.release(NOW);
    await vm.stop();
  },
  /** As a kill -9 would: the connection ends, and that is all. */
  killed: (vm: Watcher): Promise<void> => vm.stop(),
};

interface Row {
  readonly args: readonly string[];
  readonly takeOver: boolean;
  readonly left: keyof typeof leave;
  readonly release?: Partial<ReleaseConfig>;
  readonly panic: Fate;
  readonly powerOff: Fate;
  readonly watchdog: Fate;
}

const WAITS: readonly string[] = ['-no-shutdown', '-action', 'panic=pause,watchdog=pause'];
const byItself = { panic: 'ends', powerOff: 'ends', watchdog: 'boots again' } as const;
const waiting = {
  panic: { waits: 'guest-panicked' },
  powerOff: { waits: 'shutdown' },
  watchdog: { waits: 'watchdog' },
} as const;

const ROWS: readonly (readonly [name: string, row: Row])[] = [
  ['no take-over, stopped', { args: [], takeOver: false, left: 'stopped', ...byItself }],
  ['no take-over, killed', { args: [], takeOver: false, left: 'killed', ...byItself }],
  [
    'no take-over, told to wait, stopped',
    { args: WAITS, takeOver: false, left: 'stopped', ...waiting },
  ],
  [
    'no take-over, told to wait, killed',
    { args: WAITS, takeOver: false, left: 'killed', ...waiting },
  ],
  ['take-over, stopped', { args: [], takeOver: true, left: 'stopped', ...byItself }],
  ['take-over, killed', { args: [], takeOver: true, left: 'killed', ...waiting }],
  [
    'take-over of a guest told to wait, stopped: the release, not the command line',
    { args: WAITS, takeOver: true, left: 'stopped', ...byItself },
  ],
  [
    'take-over, stopped, with a release of its own',
    {
      args: [],
      takeOver: true,
      left: 'stopped',
      release: { panic: 'pause', shutdown: 'pause', watchdog: 'pause' },
      ...waiting,
    },
  ],
];

describePart('qemu-system-x86_64', 'while vmwarden is away, a guest', () => {
  const attach = async (row: Row): Promise<{ guest: Guest; vm: Watcher }> => {
    const guest = await startQemu(row.args);
    const vm = watch(guest.qmpSocket, {
      ...(row.takeOver && { takeOver: ALL }),
      ...(row.release && { release: row.release }),
    });
    await vm.connected();
    return { guest, vm };
  };

  const CASES = ROWS.flatMap(([name, row]) =>
    (['panic', 'powerOff', 'watchdog'] as const).map((act) => [name, act, row] as const),
  );
  it.each(CASES)('%s: %s', async (_name, act, row) => {
    const { guest, vm } = await attach(row);
    await leave[row.left](vm);
    expect(await fateOf(guest, act)).toEqual(row[act]);
  });

  it.each([
    ['panic', 'CRASH', 'panicked'],
    ['powerOff', 'SHUTDOWN', 'shutdown'],
    ['watchdog', 'WATCHDOG', 'watchdog'],
  ] as const)(
    'waits after %s until vmwarden is back, which finds it and answers',
    async (act, type, state) => {
      const { guest, vm } = await attach({ args: [], takeOver: true, left: 'killed', ...waiting });
      const { bootId } = await vm.driver.inspect(NOW);
      await leave.killed(vm);
      await fateOf(guest, act);
      const back = watch(guest.qmpSocket, {
        takeOver: ALL,
        lastSeen: { bootId, state: 'running' satisfies GuestState },
      });
      const found = await back.event(type);
      expect(found).toMatchObject({ state, report: { reconciled: true, bootId } });
      const cause = { boots: found.boots, resumed: false };
      expect(await back.driver.restart(back.act({ cause }))).toMatchObject({ kind: 'applied' });
      await guest.booted(2);
    },
  );

  it('is let go where the policy changed, and taken again: at each refresh', async () => {
    const { guest, vm } = await attach({ args: [], takeOver: true, left: 'killed', ...waiting });
    vm.takeOver = null;
    await vm.driver.refresh();
    vm.takeOver = { panic: false, shutdown: true, watchdog: false };
    await vm.driver.refresh();
    guest.send('powerOff');
    const { boots } = await vm.event('SHUTDOWN');
    await vm.driver.restart(vm.act({ cause: { boots, resumed: false } }));
    await guest.booted(2);
    guest.send('watchdog');
    await guest.booted(3);
    guest.send('panic');
    // `panic=shutdown` pauses, too, while `shutdown` does.
    expect(await vm.event('CRASH')).toMatchObject({ state: 'panicked' });
  });
});
