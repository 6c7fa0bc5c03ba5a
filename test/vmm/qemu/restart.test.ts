import { describe, expect, it, onTestFinished } from 'vitest';
import type { Guest } from '../../../src/guest/guest.js';
import { startQemuGuest } from '../../../src/guest/qemu-guest.js';
import { QEMU, tempDir, watch } from '../../support/qemu-rig.js';

const start = async (args: readonly string[]): Promise<Guest> => {
  const guest = await startQemuGuest({ dir: await tempDir(), qemu: QEMU ?? '', args, monitors: 2 });
  onTestFinished(guest.stop);
  await guest.booted(1);
  return guest;
};

describe.skipIf(QEMU === null)('restart, on real QEMU (needs qemu-system-x86_64)', () => {
  it('boots a panicked guest again, once', async () => {
    const guest = await start(['-action', 'panic=pause']);
    const vm = watch(guest.qmpSocket);
    await vm.connected();
    guest.send('panic');
    const { boots, state } = await vm.event('CRASH');
    expect(state).toBe('panicked');
    const points: string[] = [];
    const outcome = await vm.driver.restart(
      vm.act({ cause: { boots, resumed: false }, onCommand: (point) => points.push(point) }),
    );
    expect(outcome).toEqual({
      kind: 'applied',
      state: 'running',
      proof: ['RESET host-qmp-system-reset seen', 'RESUME seen', 'status running'],
    });
    expect(points).toEqual(['system_reset', 'system_reset:written', 'cont:written', 'RESET:seen']);
    await guest.booted(2);
    await guest.ping();
    expect(guest.boots()).toBe(2);
    expect(vm.told()).toEqual(['CRASH guest guest-panic', 'RESET vmwarden host-qmp-system-reset']);
    const again = await vm.driver.restart(vm.act({ cause: { boots, resumed: false } }));
    expect(again).toMatchObject({ kind: 'already', state: 'running' });
    expect(guest.boots()).toBe(2);
  });
});
