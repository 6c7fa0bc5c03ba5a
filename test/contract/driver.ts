import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Guest } from '../../src/guest/guest.js';
import type { Act } from '../../src/vmm/driver.js';
import { otherMonitor, tempDir, type Watcher, type WatchOptions } from '../support/qemu-rig.js';
import type { QmpClient } from '../support/qmp-client.js';
import { waitFor } from '../support/wait-for.js';

interface Subject {
  readonly guest: Guest;
  readonly vm: Watcher;
  readonly other: QmpClient;
}

const WAITS = ['-action', 'panic=pause,shutdown=pause,watchdog=pause'];

/** How a driver comes to our tiny guest, and in what it may differ from the others. */
export interface DriverRig {
  /** Takes QEMU's arguments. */
  readonly start: (args: readonly string[]) => Promise<Guest>;
  /** A driver for that guest, and all that it tells. Of one guest one at a time. */
  readonly watch: (guest: Guest, options?: WatchOptions) => Watcher;
  /** The driver speaks QMP itself: it names QEMU's commands, and the connection is lost with the process. */
  readonly direct: boolean;
  /** What it shows for a restart in the end, apart from what QMP tells; and where only to continue was left. */
  readonly restartProof: readonly string[];
  readonly continueProof: readonly string[];
  /** The points right before what restarts, and right before what first powers off. */
  readonly points: { readonly restart: string; readonly powerOff: string };
}

/**
 * What every driver of a VMM with our tiny guest must hold to (src/vmm/driver.ts), run over the real one, over the one
 * that stands in for it, and over both through an agent.
 */
export const driverContract = ({ start, watch, direct, ...rig }: DriverRig): void => {
  /** What can be asked only of a driver that is at the VMM's socket itself; through an agent it is the agent's to do. */
  const itIfDirect = (title: string, check: () => Promise<void>): void => {
    if (direct) it(title, check);
  };
  const subject = async (
    args: readonly string[] = WAITS,
    options: WatchOptions = {},
  ): Promise<Subject> => {
    const guest = await start(args);
    const other = await otherMonitor(guest);
    const vm = watch(guest, options);
    await vm.connected();
    return { guest, vm, other };
  };

  /** An act that an event has led to. */
  const because = async (vm: Watcher, type: string): Promise<Act> =>
    vm.act({ cause: { boots: (await vm.event(type)).boots, resumed: false } });

  /**
   * A restart of which it is open what happened is asked for once more. QMP had been written to, so the guest had booted; an agent
   * may have been called off in time.
   */
  const settled = async (guest: Guest, vm: Watcher, act: Act): Promise<void> => {
    if (direct) {
      await guest.booted(2);
      await vm.event('RESET');
    }
    const { kind } = await vm.driver.restart({ ...act, id: 'once more' });
    expect(direct ? ['already'] : ['already', 'applied']).toContain(kind);
    await guest.booted(2);
    await guest.ping();
    expect(guest.boots()).toBe(2);
  };

  it('says what it can do', async () => {
    const { vm } = await subject();
    const { verbs, takeOver } = vm.driver.capabilities();
    expect(takeOver).toBe(true);
    const { restartProcess, ...others } = verbs;
    expect(Object.values(others).every((verb) => verb.able)).toBe(true);
    const outcome = await vm.driver.restartProcess(vm.act());
    if (!restartProcess.able) {
      expect(outcome).toMatchObject({ kind: 'unsupported' });
      expect(restartProcess.reason).toMatch(/^[A-Z_]+: /);
    }
  });

  it('sends a running guest an NMI, and none to one that is stopped', async () => {
    const { guest, vm } = await subject();
    expect(await vm.driver.nmi(vm.act())).toEqual({
      kind: 'applied',
      state: 'running',
      proof: ['inject-nmi accepted', 'status running'],
    });
    await vm.driver.pause(vm.act());
    expect(await vm.driver.nmi(vm.act())).toMatchObject({ kind: 'failed', reason: 'WRONG_STATE' });
    expect(guest.boots()).toBe(1);
  });

  it('tells how the guest is, when it connects and when it is asked', async () => {
    const { vm } = await subject();
    const [connected] = vm.sightings;
    expect(connected).toMatchObject({
      kind: 'connected',
      continuous: false,
      inspection: { state: 'running', raw: 'running', boots: 1 },
    });
    const inspection = await vm.driver.inspect(new AbortController().signal);
    expect(inspection).toEqual(connected?.kind === 'connected' && connected.inspection);
    expect(inspection.bootId).not.toBe('');
  });

  it('restarts a panicked guest, and proves it', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    expect(await vm.driver.restart(act)).toEqual({
      kind: 'applied',
      state: 'running',
      proof: ['RESET host-qmp-system-reset seen', 'RESUME seen', ...rig.restartProof],
    });
    await guest.booted(2);
    await guest.ping();
    expect(guest.boots()).toBe(2);
  });

  it('restarts a guest that powered off, and one that its watchdog stopped', async () => {
    const { guest, vm } = await subject();
    guest.send('powerOff');
    expect(await vm.driver.restart(await because(vm, 'SHUTDOWN'))).toMatchObject({
      kind: 'applied',
    });
    await guest.booted(2);
    guest.send('watchdog');
    expect(await vm.driver.restart(await because(vm, 'WATCHDOG'))).toMatchObject({
      kind: 'applied',
    });
    await guest.booted(3);
    await guest.ping();
    expect(guest.boots()).toBe(3);
  });

  it('does nothing twice: a guest that booted since is already restarted', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    await vm.driver.restart(act);
    await guest.booted(2);
    for (const verb of ['restart', 'powerOff', 'pause'] as const) {
      expect(await vm.driver[verb](act)).toMatchObject({ kind: 'already', state: 'running' });
    }
    await guest.ping();
    expect(guest.boots()).toBe(2);
  });

  it('restarts a guest that ran on after its panic', async () => {
    const { guest, vm } = await subject(['-action', 'panic=none']);
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    expect(await vm.driver.restart(act)).toMatchObject({
      kind: 'applied',
      proof: ['RESET host-qmp-system-reset seen', 'status running', ...rig.restartProof],
    });
    await guest.booted(2);
    await guest.ping();
    expect(guest.boots()).toBe(2);
  });

  it('restarts for what nobody here saw, but not a guest that runs: nothing shows that it died', async () => {
    const { guest, vm } = await subject();
    const points: string[] = [];
    const act = vm.act({
      cause: { boots: null, resumed: false },
      onCommand: (point) => points.push(point),
    });
    expect(await vm.driver.restart(act)).toEqual({
      kind: 'cancelled',
      reason: 'STATE_DISAGREES',
      message: 'the guest runs, and nothing shows that it died',
      proof: [],
    });
    expect(points).toEqual([]);
    await guest.ping();
    expect(guest.boots()).toBe(1);
    guest.send('panic');
    await vm.event('CRASH');
    expect(await vm.driver.restart(act)).toMatchObject({ kind: 'applied', state: 'running' });
    await guest.booted(2);
    expect(guest.boots()).toBe(2);
  });

  itIfDirect('names its points in the order of what happens', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    const points: string[] = [];
    const act = await because(vm, 'CRASH');
    await vm.driver.restart({ ...act, onCommand: (point) => points.push(point) });
    const target = { path: path.join(await tempDir(), 'dump') };
    await vm.driver.dump({ ...vm.act(), ...target, onCommand: (point) => points.push(point) });
    await vm.driver.pause(vm.act());
    await vm.driver.powerOff({ ...vm.act(), onCommand: (point) => points.push(point) });
    expect(points).toEqual([
      'system_reset',
      'system_reset:written',
      'cont:written',
      'RESET:seen',
      'dump',
      'dump:written',
      'dump:completed',
      'quit',
      'quit:written',
    ]);
  });

  it('dumps a stopped guest and a running one, which runs on', async () => {
    const { guest, vm } = await subject();
    const dir = await tempDir();
    const running = path.join(dir, 'running');
    const outcome = await vm.driver.dump({ ...vm.act(), path: running });
    expect(outcome).toMatchObject({ kind: 'applied', state: 'running' });
    expect(outcome.proof).toHaveLength(2);
    await guest.ping();
    guest.send('panic');
    const stopped = path.join(dir, 'stopped');
    const act = await because(vm, 'CRASH');
    expect(await vm.driver.dump({ ...act, path: stopped })).toMatchObject({
      kind: 'applied',
      state: 'panicked',
    });
    for (const file of [running, stopped]) {
      expect((await readFile(file)).subarray(0, 12).toString()).toBe('makedumpfile');
    }
    expect(vm.told()).toEqual(['CRASH guest guest-panic']);
  });

  it('does not overwrite a file, and leaves none behind where a dump fails', async () => {
    const { vm } = await subject();
    const dir = await tempDir();
    const file = path.join(dir, 'dump');
    await vm.driver.dump({ ...vm.act(), path: file });
    const { size } = await stat(file);
    expect(await vm.driver.dump({ ...vm.act(), path: file })).toMatchObject({
      kind: 'failed',
      reason: 'PATH_EXISTS',
    });
    expect((await stat(file)).size).toBe(size);
    const nowhere = path.join(dir, 'missing', 'dump');
    const outcome = await vm.driver.dump({ ...vm.act(), path: nowhere });
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'DUMP_REFUSED' });
    expect(outcome.proof.join()).toContain('can not be seen from here');
  });

  it('powers off a guest that obeys its button', async () => {
    const { guest, vm } = await subject();
    expect(await vm.driver.powerOff(vm.act())).toMatchObject({
      kind: 'applied',
      state: 'exited',
    });
    expect(await guest.exited).toEqual({ code: 0, signal: null });
    expect(vm.told()[0]).toBe('SHUTDOWN guest guest-shutdown');
    const { state } = await vm.event('VMM_EXITED');
    expect(state).toBe('exited');
    expect(await vm.driver.powerOff(vm.act())).toMatchObject({ kind: 'already', state: 'exited' });
  });

  it('powers off a guest that does not, and a stopped one, by force', async () => {
    const { guest, vm } = await subject();
    guest.send('ignoreButton');
    await guest.ping();
    const outcome = await vm.driver.powerOff(vm.act({ timeoutMs: 1_000 }));
    expect(outcome).toMatchObject({ kind: 'applied', state: 'exited' });
    expect(outcome.proof.join()).toMatch(/the guest did not power off in [67]\d\d ms/);
    await vm.event('VMM_EXITED');
    expect(vm.told()).toEqual([
      'SHUTDOWN vmwarden host-qmp-quit',
      'VMM_EXITED vmwarden host-qmp-quit',
    ]);

    const second = await subject();
    second.guest.send('panic');
    const act = await because(second.vm, 'CRASH');
    expect(await second.vm.driver.powerOff(act)).toMatchObject({
      kind: 'applied',
      proof: expect.arrayContaining(
        direct ? ['quit sent', 'process gone'] : [expect.stringContaining('gone')],
      ),
    });
    expect(await second.guest.exited).toEqual({ code: 0, signal: null });
  });

  it('pauses and resumes; a second time there is nothing to do', async () => {
    const { guest, vm } = await subject();
    expect(await vm.driver.pause(vm.act())).toMatchObject({ kind: 'applied', state: 'paused' });
    expect(await vm.driver.pause(vm.act())).toMatchObject({ kind: 'already', state: 'paused' });
    expect(await vm.driver.resume(vm.act())).toMatchObject({ kind: 'applied', state: 'running' });
    expect(await vm.driver.resume(vm.act())).toMatchObject({ kind: 'already', state: 'running' });
    await guest.ping();
    expect(vm.told()).toEqual([]);
  });

  it('does not let a dead guest run on', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    await vm.event('CRASH');
    expect(await vm.driver.resume(vm.act())).toMatchObject({
      kind: 'failed',
      reason: 'WRONG_STATE',
    });
    const { state } = await vm.driver.inspect(new AbortController().signal);
    expect(state).toBe('panicked');
  });

  it('touches no guest that was never started', async () => {
    const { guest, vm } = await subject(['-S']);
    const verbs = [vm.driver.restart, vm.driver.powerOff, vm.driver.pause, vm.driver.resume];
    for (const verb of verbs) {
      expect(await verb.call(vm.driver, vm.act())).toMatchObject({
        kind: 'unsupported',
        reason: 'NOT_STARTED',
      });
    }
    expect(guest.boots()).toBe(0);
  });

  it('finishes what an earlier life left between reset and cont', async () => {
    const { guest, vm, other } = await subject();
    guest.send('panic');
    await vm.event('CRASH');
    await vm.stop();
    await other.run('system_reset');
    const [connected] = vm.sightings;
    const bootId = connected?.kind === 'connected' ? connected.inspection.bootId : '';
    const later = watch(guest, { lastSeen: { bootId, state: 'panicked' } });
    const found = await later.connected();
    expect(found).toMatchObject({ continuous: false, inspection: { state: 'prelaunch', bootId } });
    const act = later.act({ cause: { boots: null, resumed: true } });
    expect(await later.driver.restart(act)).toEqual({
      kind: 'applied',
      state: 'running',
      proof: [
        'status prelaunch: reset already',
        'RESUME seen',
        'status running',
        ...rig.continueProof,
      ],
    });
    await guest.booted(2);
    await guest.ping();
    expect(guest.boots()).toBe(2);
  });

  it('does not run an act of an earlier life on a guest that runs', async () => {
    const { guest, vm, other } = await subject();
    const { inspection } = await vm.driver.inspect(new AbortController().signal).then((now) => ({
      inspection: now,
    }));
    await vm.stop();
    const resumed = { cause: { boots: null, resumed: true } };

    const same = watch(guest, {
      lastSeen: { bootId: inspection.bootId, state: 'running' },
    });
    await same.connected();
    expect(await same.driver.restart(same.act(resumed))).toMatchObject({
      kind: 'unverified',
      reason: 'BOOT_UNKNOWN',
    });
    await same.stop();
    await other.run('system_reset');
    await guest.booted(2);

    const after = watch(guest, {
      lastSeen: { bootId: inspection.bootId, state: 'panicked' },
    });
    await after.connected();
    expect(await after.driver.restart(after.act(resumed))).toMatchObject({ kind: 'already' });
    await guest.ping();
    expect(guest.boots()).toBe(2);
  });

  it('takes one act at a time', async () => {
    const { guest, vm } = await subject();
    guest.send('ignoreButton');
    await guest.ping();
    const stop = new AbortController();
    const first = vm.driver.powerOff(vm.act({ signal: stop.signal }));
    expect(await vm.driver.restart(vm.act())).toMatchObject({ kind: 'failed', reason: 'BUSY' });
    stop.abort();
    expect(await first).toMatchObject({ kind: expect.stringMatching(/cancelled|unverified/) });
    expect(await vm.driver.pause(vm.act())).toMatchObject({ kind: 'applied' });
  });

  it('is called off before it has written anything', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    const signal = AbortSignal.abort();
    for (const verb of ['restart', 'powerOff', 'pause', 'resume'] as const) {
      expect(await vm.driver[verb]({ ...act, signal })).toMatchObject({ kind: 'cancelled' });
    }
    await expect(vm.driver.inspect(signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(guest.boots()).toBe(1);
  });

  it('leaves it open what happened when it is called off later', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    const stop = new AbortController();
    const outcome = await vm.driver.restart({
      ...act,
      signal: stop.signal,
      onCommand: (point) => {
        if (point === `${rig.points.restart}:written`) stop.abort();
      },
    });
    expect(outcome).toMatchObject({ kind: 'unverified', reason: 'ABORTED' });
    await settled(guest, vm, act);
  });

  it('tells of the host what the host did, and of the guest what the guest did', async () => {
    const { guest, vm, other } = await subject();
    await other.run('system_reset');
    await guest.booted(2);
    guest.send('crashLoaded');
    guest.send('suspend');
    await vm.event('SUSPEND');
    await other.run('system_wakeup');
    await vm.event('WAKEUP');
    guest.send('reset');
    await guest.booted(3);
    guest.send('powerOff');
    await vm.event('SHUTDOWN');
    await other.run('quit').catch(() => undefined);
    await vm.event('VMM_EXITED');
    expect(vm.told()).toEqual([
      'RESET host host-qmp-system-reset',
      'CRASH_LOADED guest guest-crashloaded',
      'SUSPEND guest suspend',
      'WAKEUP unknown wakeup',
      'RESET guest guest-reset',
      'SHUTDOWN guest guest-shutdown',
      'SHUTDOWN host host-qmp-quit',
      'VMM_EXITED host host-qmp-quit',
    ]);
  });

  it('numbers what it tells, without a gap, and names the process', async () => {
    const { guest, vm } = await subject();
    for (let boots = 2; boots < 5; boots += 1) {
      guest.send('reset');
      await guest.booted(boots);
    }
    await waitFor('three events', () => vm.told().length === 3);
    const reports = vm.sightings.flatMap((one) => (one.kind === 'event' ? [one.report] : []));
    const keys = reports.map(({ key }) => key);
    expect(keys.map((key) => key?.kind === 'sequence' && key.sequence)).toEqual([1n, 2n, 3n]);
    expect(new Set(keys.map((key) => key?.kind === 'sequence' && key.instance)).size).toBe(1);
    expect(new Set(reports.map(({ bootId }) => bootId)).size).toBe(1);
    expect(
      reports.every(({ occurredAtMs }) => Math.abs(Date.now() - (occurredAtMs ?? 0)) < 60_000),
    );
    const boots = vm.sightings.flatMap((one) => (one.kind === 'event' ? [one.boots] : []));
    // A RESET ends a boot; QMP's count is that of the next one.
    expect(boots).toEqual(direct ? [2, 3, 4] : [1, 2, 3]);
  });

  it('finds on connect what happened while nobody was there, once', async () => {
    const guest = await start(WAITS);
    guest.send('panic');
    const other = await otherMonitor(guest);
    await waitFor('panicked', async () => {
      const { status } = (await other.run('query-status')) as { status: string };
      return status === 'guest-panicked';
    });
    const vm = watch(guest);
    const { inspection } = await vm.connected();
    expect(inspection.state).toBe('panicked');
    await waitFor('an event', () => vm.told().length > 0);
    // An agent that was there all along had told of it already, to nobody.
    expect(vm.told()).toEqual([`CRASH guest guest-panic${direct ? ' reconciled' : ''}`]);
    await vm.stop();

    const again = watch(guest, {
      lastSeen: { bootId: inspection.bootId, state: 'panicked' },
    });
    expect(await again.connected()).toMatchObject({ continuous: true });
    expect(again.told()).toEqual([]);
    const act = again.act();
    expect(await again.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await guest.booted(2);
  });

  it('tells that the process has gone, and connects to the next one', async () => {
    const { guest, vm } = await subject();
    process.kill(guest.pid, 'SIGKILL');
    if (direct) await vm.disconnected();
    await vm.event('VMM_EXITED');
    expect(vm.told()).toEqual(['VMM_EXITED unknown eof']);
    expect(await vm.driver.restart(vm.act())).toMatchObject({
      kind: 'failed',
      reason: 'VMM_GONE',
    });
    const { state } = await vm.driver.inspect(new AbortController().signal);
    expect(state).toBe('exited');
  });

  itIfDirect(
    'does not take a socket file that has vanished for a process that has gone',
    async () => {
      const { guest, vm } = await subject(WAITS, {
        tuning: { commandTimeoutMs: 100, endingMs: 50, backoffMaxMs: 20 },
      });
      const { bootId } = await vm.driver.inspect(new AbortController().signal);
      await rm(guest.qmpSocket);
      // One that hangs is left after eight commands; then there is no way back to it.
      process.kill(guest.pid, 'SIGSTOP');
      const { signal } = new AbortController();
      await Promise.all(
        Array.from({ length: 6 }, () => vm.driver.inspect(signal).catch(() => null)),
      );
      expect((await vm.disconnected()).reason).toMatch(/as many commands unanswered/);
      expect((await vm.disconnected()).reason).toMatch(/has vanished, and the process .* lives/);

      const later = watch(guest, {
        lastSeen: { bootId, state: 'running' },
        tuning: { backoffMaxMs: 20 },
      });
      expect((await later.disconnected()).reason).toMatch(/has vanished, and the process .* lives/);
      for (const { driver, act, told } of [vm, later]) {
        expect(await driver.restart(act())).toMatchObject({
          kind: 'failed',
          reason: 'NOT_CONNECTED',
        });
        expect(told()).toEqual([]);
      }

      process.kill(guest.pid, 'SIGKILL');
      await vm.event('VMM_EXITED');
      expect(vm.told()).toEqual(['VMM_EXITED unknown eof']);
      await later.event('VMM_EXITED');
      expect(later.told()).toEqual(['VMM_EXITED unknown gone-meanwhile reconciled']);
    },
  );

  it('tells of a SIGTERM that the host did it', async () => {
    const { guest, vm } = await subject();
    process.kill(guest.pid, 'SIGTERM');
    await vm.event('VMM_EXITED');
    expect(vm.told()).toEqual(['SHUTDOWN host host-signal', 'VMM_EXITED host host-signal']);
  });

  it('answers an act on a VMM that dies meanwhile', async () => {
    const { guest, vm } = await subject();
    guest.send('ignoreButton');
    await guest.ping();
    const off = vm.driver.powerOff({
      ...vm.act(),
      onCommand: (point) => {
        if (point === `${rig.points.powerOff}:written`) process.kill(guest.pid, 'SIGKILL');
      },
    });
    const kind = direct ? 'applied' : expect.stringMatching(/^(applied|already)$/);
    expect(await off).toMatchObject({ kind, state: 'exited' });

    const second = await subject();
    second.guest.send('panic');
    const act = await because(second.vm, 'CRASH');
    const dead = await second.vm.driver.restart({
      ...act,
      onCommand: (point) => {
        if (point === rig.points.restart) process.kill(second.guest.pid, 'SIGKILL');
      },
    });
    // An agent may still say that it lost its VMM, before it knows that it has ended.
    const gone = direct ? { kind: 'failed', reason: 'VMM_GONE' } : { kind: 'failed' };
    expect(dead).toMatchObject(gone);
  });

  it('keeps its deadline on a VMM that hangs, and works again when it does not', async () => {
    // Whatever was asked for before it hung does not count.
    const { guest, vm } = await subject(WAITS, { tuning: { answerMaxAgeMs: 0 } });
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    process.kill(guest.pid, 'SIGSTOP');
    expect(await vm.driver.restart({ ...act, timeoutMs: 300 })).toMatchObject({
      kind: 'failed',
      reason: 'DEADLINE_EXCEEDED',
    });
    process.kill(guest.pid, 'SIGCONT');
    expect(await vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await guest.booted(2);
    expect(guest.boots()).toBe(2);
  });

  it('says that it does not know, where the VMM hangs on what was written to it', async () => {
    const { guest, vm } = await subject();
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    const outcome = await vm.driver.restart({
      ...act,
      timeoutMs: 300,
      onCommand: (point) => {
        if (point === rig.points.restart) process.kill(guest.pid, 'SIGSTOP');
      },
    });
    expect(outcome).toMatchObject({ kind: 'unverified', reason: 'DEADLINE_EXCEEDED' });
    process.kill(guest.pid, 'SIGCONT');
    await settled(guest, vm, act);
  });

  it('holds what it took over, and puts it back', async () => {
    const guest = await start([]);
    const vm = watch(guest, {
      takeOver: { panic: true, shutdown: true, watchdog: true },
    });
    await vm.connected();
    await vm.driver.refresh();
    for (const [command, type] of [
      ['panic', 'CRASH'],
      ['powerOff', 'SHUTDOWN'],
      ['watchdog', 'WATCHDOG'],
    ] as const) {
      const boots = guest.boots();
      guest.send(command);
      const act = await because(vm, type);
      expect(await vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
      await guest.booted(boots + 1);
    }
    await vm.driver.release(new AbortController().signal);
    guest.send('panic');
    expect(await guest.exited).toEqual({ code: 0, signal: null });
    await vm.event('VMM_EXITED');
    expect(vm.told().slice(-2)).toEqual([
      'CRASH guest guest-panic',
      'VMM_EXITED guest guest-panic',
    ]);
  });
};
