import { describe, expect, it } from 'vitest';
import { lifeOf } from '../../../src/vmm/qemu/process-identity.js';
import { startStandIn, watch } from '../../support/qemu-rig.js';

const NOW = new AbortController().signal;

describe('whether the process of a boot id lives', () => {
  it('is told by its thread and when that started, in the PID namespace where it was seen', async () => {
    const guest = await startStandIn();
    const { bootId } = await watchOnce(guest.qmpSocket);
    const [inode = '', birth = '', thread = '', ticks = '', namespace = ''] = bootId.split('.');
    const id = (...parts: readonly string[]): string => [inode, birth, ...parts].join('.');
    expect(await lifeOf(bootId)).toBe('lives');
    // Another that got the same number.
    expect(await lifeOf(id(thread, `${BigInt(ticks) + 1n}`, namespace))).toBe('gone');
    expect(await lifeOf(id(thread, ticks, '1'))).toBe('unknown');
    expect(await lifeOf(id(thread))).toBe('unknown');
    expect(await lifeOf('not of this driver')).toBe('unknown');
    process.kill(guest.pid, 'SIGKILL');
    await guest.exited;
    expect(await lifeOf(bootId)).toBe('gone');
    expect(await lifeOf(id(thread, ticks, '1'))).toBe('unknown');
  });
});

const watchOnce = async (socket: string): Promise<{ readonly bootId: string }> => {
  const vm = watch(socket);
  await vm.connected();
  const inspection = await vm.driver.inspect(NOW);
  await vm.stop();
  return inspection;
};
