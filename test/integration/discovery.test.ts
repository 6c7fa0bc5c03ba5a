import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Vm } from '../../src/gen/vmwarden/v1/vm_service.js';
import type { Guest } from '../../src/guest/guest.js';
import { startQemuGuest } from '../../src/guest/qemu-guest.js';
import { lifeDir } from '../support/kill-rig.js';
import { policyOf } from '../support/life-config.js';
import { describePart, partPath } from '../support/parts.js';
import { Served } from '../support/served.js';
import { waitFor } from '../support/wait-for.js';

const WAITS = ['-no-shutdown', '-action', 'panic=pause'];

const epochOf = ({ state }: Vm): number => Number(state?.bootEpoch ?? 0);

describePart('qemu-system-x86_64', 'VMs found by their sockets', () => {
  it('are answered from their first sight; one that ends and comes back begins another life', {
    timeout: 120_000,
  }, async () => {
    const dir = await lifeDir();
    const policy = join(dir, 'policy.yaml');
    await writeFile(policy, policyOf('[restart]'));
    await mkdir(join(dir, 'vms'));
    const served = await Served.start(dir, {
      host: 'node-1',
      dataDir: join(dir, 'data'),
      log: { level: 'info', format: 'json' },
      policy: { file: policy },
      discover: [
        {
          driver: { kind: 'qemu', socket: join(dir, 'vms', '{tier}', '{id}.qmp') },
          labels: { tier: '{tier}' },
        },
      ],
    });
    onTestFinished(() => served.client.close());

    const home = join(dir, 'vms', 'web');
    const start = async (): Promise<Guest> => {
      await mkdir(home, { recursive: true });
      const qemu = partPath('qemu-system-x86_64');
      const guest = await startQemuGuest({ qemu, dir: home, name: 'vm-1', args: WAITS });
      onTestFinished(guest.stop);
      await guest.booted(1);
      return guest;
    };

    const first = await start();
    const found = await served.client.settled('vm-1', 'running', 40_000);
    expect(found).toMatchObject({ labels: { tier: 'web' }, state: { driver: 'qemu' } });
    first.send('panic');
    await first.booted(2, 20_000);
    const restarted = await served.client.settled('vm-1', 'running', 20_000);
    expect(epochOf(restarted)).toBeGreaterThan(epochOf(found));

    await first.stop();
    await rm(home, { recursive: true });
    await waitFor(
      'it is known to have ended',
      async () => (await served.client.vm('vm-1'))?.state?.state === 'exited',
      20_000,
    );

    const second = await start();
    const back = await served.client.settled('vm-1', 'running', 40_000);
    expect(back.state?.bootId).not.toBe(restarted.state?.bootId);
    expect(epochOf(back)).toBeGreaterThan(epochOf(restarted));
    second.send('panic');
    await second.booted(2, 20_000);
    await served.client.settled('vm-1', 'running', 20_000);
    expect((await served.client.health()).detail).toEqual([]);
    expect(await served.terminate(), served.log).toEqual({ code: 0, signal: null });
    expect(served.log).not.toMatch(/"level":"error"/);
  });
});
