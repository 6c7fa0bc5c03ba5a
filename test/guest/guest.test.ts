import { describe, expect, it } from 'vitest';
import { FIRMWARE_BYTES, firmwareImage } from '../../src/guest/firmware.js';
import type { Guest } from '../../src/guest/guest.js';
import { startQemuGuest } from '../../src/guest/qemu-guest.js';
import { describePart } from '../support/parts.js';
import { otherMonitor, startQemu, startStandIn, tempDir } from '../support/qemu-rig.js';

const both = (start: (args: readonly string[]) => Promise<Guest>): void => {
  it('boots, answers, and boots again when it resets', async () => {
    const guest = await start([]);
    await guest.ping();
    guest.send('reset');
    await guest.booted(2);
    await guest.ping();
    expect(guest.output()).toBe('B.B.');
  });

  it('wakes from its sleep without a boot', async () => {
    const guest = await start([]);
    const other = await otherMonitor(guest);
    guest.send('suspend');
    await other.event('SUSPEND');
    await other.run('system_wakeup');
    await other.event('WAKEUP');
    await guest.ping();
    expect(guest.output()).toBe('BW.');
  });

  it('runs on after a panic that nobody stops it for', async () => {
    const guest = await start(['-action', 'panic=none']);
    const other = await otherMonitor(guest);
    guest.send('panic');
    await other.event('GUEST_PANICKED');
    await guest.ping();
    expect(guest.boots()).toBe(1);
  });

  it('is ended by force when it does not end by itself, and ends once', async () => {
    const guest = await start([]);
    process.kill(guest.pid, 'SIGSTOP');
    const stopping = guest.stop();
    await stopping;
    await guest.stop();
    expect(await guest.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await expect(guest.ping()).rejects.toMatchObject({ reason: 'GUEST_GONE' });
    await expect(guest.booted(2)).rejects.toMatchObject({ reason: 'GUEST_GONE' });
  });

  it('says when it did not boot in time', async () => {
    const guest = await start(['-S']);
    await expect(guest.booted(1, 50)).rejects.toMatchObject({ reason: 'GUEST_SILENT' });
  });
};

describePart('qemu-system-x86_64', 'a tiny guest in QEMU', () => {
  both(startQemu);

  it('says why QEMU did not start', async () => {
    await expect(startQemu(['-no-such-option'])).rejects.toMatchObject({
      reason: 'GUEST_NOT_STARTED',
      message: expect.stringContaining('no-such-option'),
    });
  });
});

describe('the guest that stands in for it', () => {
  both(startStandIn);
});

describe('a guest that can not be started', () => {
  it('names the program that is missing', async () => {
    const dir = await tempDir();
    await expect(startQemuGuest({ dir, qemu: '/no/such/qemu' })).rejects.toMatchObject({
      reason: 'GUEST_NOT_STARTED',
      message: expect.stringContaining('/no/such/qemu'),
    });
  });

  it('refuses a directory whose sockets would have no room for their names', async () => {
    const dir = await tempDir();
    await expect(
      startQemuGuest({ dir, name: 'x'.repeat(120), qemu: '/no/such/qemu' }),
    ).rejects.toMatchObject({ reason: 'SOCKET_PATH_TOO_LONG' });
  });
});

it('the firmware is 64 KiB that begin at the reset vector', () => {
  const image = firmwareImage();
  expect(image).toHaveLength(FIRMWARE_BYTES);
  // jmp 0xf000:0, then cli.
  expect([...image.subarray(0xfff0, 0xfff5)]).toEqual([0xea, 0, 0, 0, 0xf0]);
  expect(image[0]).toBe(0xfa);
});
