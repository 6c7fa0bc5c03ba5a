import { access, chmod, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Guest } from '../../../src/guest/guest.js';
import type { Act, Progress } from '../../../src/vmm/driver.js';
import { describePart, partPath } from '../../support/parts.js';
import {
  otherMonitor,
  startQemu,
  tempDir,
  type Watcher,
  type WatchOptions,
  watch,
} from '../../support/qemu-rig.js';
import { waitFor } from '../../support/wait-for.js';

const NOW = new AbortController().signal;

const attach = async (guest: Guest, options: WatchOptions = {}): Promise<Watcher> => {
  const vm = watch(guest.qmpSocket, options);
  await vm.connected();
  return vm;
};

const because = async (vm: Watcher, type: string): Promise<Act> =>
  vm.act({ cause: { boots: (await vm.event(type)).boots, resumed: false } });

/** A QEMU that may write no file longer than `blocks` × 512 bytes: its disk is as good as full. */
const limitedQemu = async (dir: string, blocks: number): Promise<string> => {
  const file = path.join(dir, 'qemu-limited');
  const qemu = partPath('qemu-system-x86_64');
  // An ignored signal stays ignored over exec: write() fails with EFBIG instead of SIGXFSZ.
  await writeFile(file, `#!/bin/sh\ntrap '' XFSZ\nulimit -f ${blocks}\nexec ${qemu} "$@"\n`);
  await chmod(file, 0o755);
  return file;
};

describePart('qemu-system-x86_64', 'what QEMU does that is easily got wrong', () => {
  it('-no-reboot and -no-shutdown: a reset stops the guest; after a restart that is so again', async () => {
    const guest = await startQemu(['-no-reboot', '-no-shutdown']);
    const vm = await attach(guest, { release: { reboot: 'shutdown' } });
    for (let boots = 2; boots < 4; boots += 1) {
      guest.send('reset');
      const sighting = await vm.event('RESET');
      expect(sighting).toMatchObject({ state: 'shutdown', boots: boots - 1 });
      const act = vm.act({ cause: { boots: sighting.boots, resumed: false } });
      const outcome = await vm.driver.restart(act);
      expect(outcome).toMatchObject({ kind: 'applied', state: 'running' });
      expect(outcome.proof).toContain('reboot=shutdown put back');
      await guest.booted(boots);
      await vm.event('RESET');
    }
    expect(vm.told()).toEqual([
      'RESET guest guest-reset',
      'RESET vmwarden host-qmp-system-reset',
      'RESET guest guest-reset',
      'RESET vmwarden host-qmp-system-reset',
    ]);
  });

  it('-no-reboot alone: a reset ends the process, and the guest asked for it', async () => {
    const guest = await startQemu(['-no-reboot']);
    const vm = await attach(guest);
    expect(vm.sightings[0]).toMatchObject({
      warnings: expect.arrayContaining([expect.stringContaining('release.reboot')]),
    });
    guest.send('reset');
    await vm.event('VMM_EXITED');
    expect(vm.told()).toEqual(['RESET guest guest-reset', 'VMM_EXITED guest guest-reset']);
  });

  it('-no-reboot: a reset by another monitor stops the guest, too', async () => {
    const guest = await startQemu(['-no-reboot', '-no-shutdown']);
    const vm = await attach(guest);
    const other = await otherMonitor(guest);
    await other.run('system_reset');
    expect(await vm.event('RESET')).toMatchObject({ state: 'shutdown' });
    expect(vm.told()).toEqual(['RESET host host-qmp-system-reset']);
    const outcome = await vm.driver.restart(vm.act());
    expect(outcome.kind).toBe('applied');
    await guest.booted(2);
  });

  it.each([
    [[], 0],
    [['-action', 'panic=exit-failure'], 1],
  ] as const)('panics and ends by itself (%s): one death, told once', async (args, code) => {
    const guest = await startQemu(args);
    const vm = await attach(guest);
    guest.send('panic');
    await vm.event('VMM_EXITED');
    expect(await guest.exited).toEqual({ code, signal: null });
    expect(vm.told()).toEqual(['CRASH guest guest-panic', 'VMM_EXITED guest guest-panic']);
    expect(vm.sightings[0]).toMatchObject({ startedToWait: { panic: false, shutdown: false } });
  });

  it('is not spoken to while it ends: that can keep QEMU 7.2 from ending for ever', async () => {
    for (let round = 0; round < 15; round += 1) {
      const guest = await startQemu();
      const vm = await attach(guest);
      guest.send(round % 2 === 0 ? 'panic' : 'powerOff');
      const act = await because(vm, round % 2 === 0 ? 'CRASH' : 'SHUTDOWN');
      expect(await vm.driver.restart(act)).toMatchObject({ kind: 'failed', reason: 'VMM_GONE' });
      expect(await guest.exited).toEqual({ code: 0, signal: null });
    }
  });

  it('panic=shutdown with -no-shutdown waits, like panic=pause', async () => {
    const guest = await startQemu(['-no-shutdown']);
    const vm = await attach(guest);
    expect(vm.sightings[0]).toMatchObject({ startedToWait: { panic: true, shutdown: true } });
    guest.send('panic');
    expect(await vm.driver.restart(await because(vm, 'CRASH'))).toMatchObject({ kind: 'applied' });
    await guest.booted(2);
  });

  it('watchdog=poweroff ends the process without a SHUTDOWN', async () => {
    const guest = await startQemu(['-action', 'watchdog=poweroff']);
    const vm = await attach(guest);
    guest.send('watchdog');
    await vm.event('VMM_EXITED');
    expect(vm.told()).toEqual(['WATCHDOG guest watchdog', 'VMM_EXITED unknown eof']);
  });

  it('holds back a second WATCHDOG for a second: told at once by the state, and once', async () => {
    const guest = await startQemu(['-action', 'watchdog=pause']);
    const vm = await attach(guest);
    const other = await otherMonitor(guest);
    for (let boots = 2; boots < 4; boots += 1) {
      guest.send('watchdog');
      expect(await vm.driver.restart(await because(vm, 'WATCHDOG'))).toMatchObject({
        kind: 'applied',
      });
      await guest.booted(boots);
    }
    // Both monitors are sent what was held back, in the same moment.
    await other.event('WATCHDOG');
    await other.event('WATCHDOG');
    await vm.driver.inspect(NOW);
    expect(vm.told().filter((told) => told.startsWith('WATCHDOG'))).toHaveLength(2);
    await guest.ping();
    expect(guest.boots()).toBe(3);
  });

  it('several RESETs in a row are several boots, and the act for the first is done already', async () => {
    const guest = await startQemu();
    const vm = await attach(guest);
    for (const boots of [2, 3, 4]) {
      guest.send('reset');
      await guest.booted(boots);
    }
    const act = await because(vm, 'RESET');
    await vm.event('RESET');
    await vm.event('RESET');
    expect(await vm.driver.restart(act)).toMatchObject({ kind: 'already' });
    expect(guest.boots()).toBe(4);
  });

  it('stops for a disk error: told, and restarted', async () => {
    const dir = await tempDir();
    const disk = path.join(dir, 'disk.raw');
    await writeFile(disk, '');
    await truncate(disk, 1024 * 1024);
    const failing = {
      driver: 'blkdebug',
      image: { driver: 'file', filename: disk },
      // Once: QEMU tries the write again when the guest is continued.
      'inject-error': [{ event: 'write_aio', once: true }],
    };
    const guest = await startQemu([
      ...['-blockdev', JSON.stringify({ 'node-name': 'disk', driver: 'raw', file: failing })],
      ...['-device', 'ide-hd,drive=disk,bus=ide.0,werror=stop'],
    ]);
    const vm = await attach(guest);
    guest.send('writeDisk');
    const { state, report } = await vm.event('VMM_ERROR');
    expect(state).toBe('error');
    expect(report).toMatchObject({
      initiator: 'unknown',
      reconciled: false,
      event: { detail: { reason: 'io-error' } },
    });
    expect(await vm.driver.restart(vm.act())).toMatchObject({ kind: 'applied' });
    await guest.booted(2);
  });

  it('a guest asleep is powered off', async () => {
    const guest = await startQemu();
    const vm = await attach(guest);
    guest.send('suspend');
    await vm.event('SUSPEND');
    expect(await vm.driver.powerOff(vm.act({ timeoutMs: 1_000 }))).toMatchObject({
      kind: 'applied',
      state: 'exited',
    });
  });

  it('a dump that fails leaves no part of itself, and the guest is restarted all the same', async () => {
    const dir = await tempDir();
    const guest = await startQemu(['-action', 'panic=pause'], {
      dir,
      qemu: await limitedQemu(dir, 8),
    });
    const vm = await attach(guest);
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    const file = path.join(dir, 'dump');
    const outcome = await vm.driver.dump({ ...act, path: file });
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'DUMP_FAILED' });
    expect(outcome.proof).toEqual(['dump failed', 'the partial file was removed']);
    await expect(access(file)).rejects.toThrow('ENOENT');
    expect(await vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    await guest.booted(2);
  });

  it('accepts a reset during a dump: a restart waits for it, whoever began it', async () => {
    const guest = await startQemu(['-action', 'panic=pause'], { memoryMiB: 512 });
    // Nothing that was asked for before the dump began may count.
    const vm = await attach(guest, { tuning: { answerMaxAgeMs: 0 } });
    const other = await otherMonitor(guest);
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    const dir = await tempDir();
    const protocol = `file:${path.join(dir, 'others')}`;
    await other.run('dump-guest-memory', { paging: false, protocol, format: 'elf', detach: true });
    expect(await vm.driver.restart(act)).toMatchObject({ kind: 'applied' });
    const seen = () => other.events().filter((name) => /DUMP|RESET/.test(name));
    // The other monitor is told in its own time.
    await waitFor('both on the other monitor', () => seen().length >= 2);
    expect(seen()).toEqual(['DUMP_COMPLETED', 'RESET']);
    await guest.booted(2);

    // Our own, which its deadline left behind: QEMU has no way to call it off.
    guest.send('panic');
    const again = await because(vm, 'CRASH');
    const own = path.join(dir, 'own');
    expect(await vm.driver.dump({ ...again, path: own, timeoutMs: 10 })).toMatchObject({
      kind: 'unverified',
      reason: 'DEADLINE_EXCEEDED',
    });
    expect(await vm.driver.restart(again)).toMatchObject({ kind: 'applied' });
    await guest.booted(3);
    expect(
      other
        .events()
        .filter((name) => /DUMP|RESET/.test(name))
        .slice(2),
    ).toEqual(['DUMP_COMPLETED', 'RESET']);
  });

  it('a dump that begins in the moment of a restart delays the guest, and no more', async () => {
    const guest = await startQemu(['-action', 'panic=pause'], { memoryMiB: 256 });
    const vm = await attach(guest, { tuning: { answerMaxAgeMs: 60_000 } });
    const other = await otherMonitor(guest);
    guest.send('panic');
    const act = await because(vm, 'CRASH');
    const protocol = `file:${path.join(await tempDir(), 'dump')}`;
    await other.run('dump-guest-memory', { paging: false, protocol, format: 'elf', detach: true });
    expect(await vm.driver.restart(act)).toMatchObject({ kind: 'applied', state: 'running' });
    await guest.booted(2);
    await guest.ping();
    expect(guest.boots()).toBe(2);
  });

  it('tells how far a dump has come, and stops a running guest for it without a word', async () => {
    const guest = await startQemu([], { memoryMiB: 1024 });
    const vm = await attach(guest, { tuning: { dumpPollMs: 1 } });
    const seen: Progress[] = [];
    const outcome = await vm.driver.dump({
      ...vm.act(),
      path: path.join(await tempDir(), 'dump'),
      onProgress: (progress) => seen.push(progress),
    });
    expect(outcome).toMatchObject({ kind: 'applied', state: 'running' });
    expect(seen.length).toBeGreaterThan(0);
    for (const { doneBytes, totalBytes } of seen) {
      expect(totalBytes).toBeGreaterThan(1024 ** 3 - 1);
      expect(doneBytes).toBeLessThanOrEqual(totalBytes);
    }
    await guest.ping();
    expect(vm.told()).toEqual([]);
  });

  it('connects to the next process on the same socket: the old one has gone, the new one boots afresh', async () => {
    const dir = await tempDir();
    const first = await startQemu([], { dir });
    const vm = await attach(first);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    const second = await startQemu([], { dir });
    await vm.event('VMM_EXITED');
    const { inspection, continuous } = await vm.connected();
    expect({ boots: inspection.boots, continuous }).toEqual({ boots: 2, continuous: false });
    const ids = vm.sightings.flatMap((one) =>
      one.kind === 'connected' ? [one.inspection.bootId] : [],
    );
    expect(new Set(ids).size).toBe(2);
    await second.ping();
  });

  it('was gone when vmwarden came: told as found, once', async () => {
    const guest = await startQemu();
    const vm = await attach(guest);
    const { bootId } = await vm.driver.inspect(NOW);
    await vm.stop();
    await guest.stop();
    const later = watch(guest.qmpSocket, { lastSeen: { bootId, state: 'running' } });
    const { report } = await later.event('VMM_EXITED');
    expect(report).toMatchObject({ bootId, initiator: 'unknown', reconciled: true });
    const known = watch(guest.qmpSocket, { lastSeen: { bootId, state: 'exited' } });
    await waitFor('it is known to have gone', async () => {
      const { state } = await known.driver.inspect(NOW).catch(() => ({ state: 'unknown' }));
      return state === 'exited';
    });
    expect(known.told()).toEqual([]);
  });
});
