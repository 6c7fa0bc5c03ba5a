import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ServiceError, status } from '@grpc/grpc-js';
import { expect, it, onTestFinished } from 'vitest';
import { mountSmallDisk } from '../support/journal-disk.js';
import { VM } from '../support/kill-rig.js';
import {
  KILLED,
  type LifeRefused,
  STOPPED,
  spawnLife,
  startLife,
  within,
} from '../support/life.js';
import type { LifeClient } from '../support/life-client.js';
import { readClosedJournal, unendedSteps } from '../support/life-ledger.js';
import { connectedLife, oneGuest } from '../support/life-one.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';

const MIB = 1024 * 1024;
const RESERVE = 4 * MIB;

const disk = mountSmallDisk(1);
if (typeof disk !== 'string') disk.remove();
const cannot = typeof disk === 'string' ? ` [needs a file system of its own: ${disk}]` : '';

describePart('qemu-system-x86_64', 'a full disk', () => {
  /** A guest elsewhere, the journal on a small file system, and a ballast that leaves so many bytes of it free. */
  const onSmallDisk = async () => {
    const small = mountSmallDisk(24);
    if (typeof small === 'string') throw new Error(small);
    onTestFinished(small.remove);
    const free = (): number => statfsSync(small.dir).bavail * statfsSync(small.dir).bsize;
    const ballast = join(small.dir, 'ballast');
    const journal = {
      maxAgeMs: 86_400_000,
      maxBytes: 2 ** 30,
      hardMaxBytes: 2 ** 31,
      reserveBytes: RESERVE,
    };
    const dataDir = join(small.dir, 'data');
    await mkdir(dataDir);
    return {
      ...(await oneGuest({ dataDir, journal })),
      leave: (bytes: number) => writeFileSync(ballast, Buffer.alloc(Math.max(0, free() - bytes))),
      freeAgain: () => rmSync(ballast),
    };
  };

  /** Reports until one is refused, with the reason that a caller is to get; resolves with those acknowledged. */
  const reportUntilRefused = async (client: LifeClient, from: number): Promise<bigint[]> => {
    const acked: bigint[] = [];
    for (let n = from; n < from + 1000; n += 1) {
      try {
        acked.push((await client.report(`told-${n % 100}`, `request-${n}`, BigInt(n))).sequence);
      } catch (error) {
        const { code, details } = error as ServiceError;
        expect(code).toBe(status.RESOURCE_EXHAUSTED);
        expect(details).toMatch(/free|space/);
        return acked;
      }
    }
    throw new Error('nothing was refused');
  };

  const full: readonly (readonly [string, number])[] = [
    ['below the reserve', RESERVE / 4],
    ['to the last byte', 0],
  ];

  it.skipIf(cannot !== '').each(full)(
    `%s: a panic is answered as soon as there is space, once, and nothing is lost${cannot}`,
    async (_name, left) => {
      const { guest, monitor, config, leave, freeAgain } = await onSmallDisk();
      const { life, address } = await startLife(config);
      const client = connectedLife(address);
      await client.settled(VM, 'running');
      const acked = [(await client.report('told', 'first', 0n)).sequence];

      leave(left);
      acked.push(...(await reportUntilRefused(client, 0)));
      await waitFor('health says why', async () => {
        const { serving, detail } = await client.health();
        return serving && detail.some((text) => text.startsWith('journal: '));
      });
      guest.send('panic');
      await waitFor('the panic waits for the journal', async () =>
        (await client.health()).detail.some((text) => text.startsWith(`vm ${VM}: events wait`)),
      );
      expect(await monitor.run('query-status')).toMatchObject({ status: 'guest-panicked' });

      freeAgain();
      await guest.booted(2, 15_000);
      await client.settled(VM, 'running');
      await waitFor('all is well', async () => (await client.health()).detail.length === 0);
      acked.push((await client.report('told', 'last', 0n)).sequence);
      expect(await life.stop()).toMatchObject(STOPPED);
      await guest.ping();
      expect(guest.boots()).toBe(2);
      const { records, problems } = await readClosedJournal(join(config.dataDir, 'journal'));
      expect(problems).toEqual([]);
      expect(unendedSteps(records)).toEqual([]);
      for (const sequence of acked)
        expect(records[Number(sequence) - 1]?.body?.$case).toBe('event');
    },
  );

  it.skipIf(cannot !== '').each(full)(
    `%s: stopped and started again meanwhile, it still answers once${cannot}`,
    async (_name, left) => {
      const { guest, monitor, config, leave, freeAgain } = await onSmallDisk();
      const first = await startLife(config);
      const client = connectedLife(first.address);
      await client.settled(VM, 'running');
      leave(left);
      await reportUntilRefused(client, 0);
      guest.send('panic');
      await waitFor('the panic waits for the journal', async () =>
        (await client.health()).detail.some((text) => text.startsWith(`vm ${VM}: events wait`)),
      );
      expect(await first.life.stop()).toMatchObject(STOPPED);

      // On a full disk it either serves, and waits on, or says that there is no space.
      const second = spawnLife(config);
      const started = await within('it starts or refuses', second.ready, 15_000).catch(
        (error: unknown) => error as LifeRefused,
      );
      if (started instanceof Error) expect(started.reason).toBe('JOURNAL_FULL');
      else {
        const meanwhile = connectedLife(started);
        await waitFor('the panic waits again', async () =>
          (await meanwhile.health()).detail.some((text) =>
            text.startsWith(`vm ${VM}: events wait`),
          ),
        );
        expect(await second.kill()).toMatchObject(KILLED);
      }
      expect(await monitor.run('query-status')).toMatchObject({ status: 'guest-panicked' });

      freeAgain();
      const third = await startLife(config);
      const last = connectedLife(third.address);
      await guest.booted(2);
      await last.settled(VM, 'running');
      await guest.ping();
      expect(await third.life.stop()).toMatchObject(STOPPED);
      expect(guest.boots()).toBe(2);
      const { problems } = await readClosedJournal(join(config.dataDir, 'journal'));
      expect(problems).toEqual([]);
    },
  );
});
