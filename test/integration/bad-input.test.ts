import { existsSync, lstatSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ServiceError, status } from '@grpc/grpc-js';
import { expect, it, onTestFinished } from 'vitest';
import { StepState } from '../../src/gen/vmwarden/v1/record.js';
import { openStore } from '../../src/journal/lmdb/store.js';
import { mountSmallDisk } from '../support/journal-disk.js';
import { heldGuest, lifeDir, VM } from '../support/kill-rig.js';
import { KILLED, LifeRefused, STOPPED, spawnLife, startLife, within } from '../support/life.js';
import { connectLife, type LifeClient } from '../support/life-client.js';
import { lifeConfig, policyOf, qemuVm } from '../support/life-config.js';
import { LifeLedger, readClosedJournal, unendedSteps } from '../support/life-ledger.js';
import { startPeers } from '../support/life-peers.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';

/** The kernel's number. */
const CRASH = 3;
const PAUSES = ['-action', 'panic=pause'];

const connected = (address: string): LifeClient => {
  const client = connectLife(address);
  onTestFinished(client.close);
  return client;
};

/** One guest that waits when it panics, and the configuration for it. */
const oneGuest = async (changes: Parameters<typeof lifeConfig>[0]['changes'] = {}) => {
  const dir = await lifeDir();
  const { guest, monitor } = await heldGuest(dir, PAUSES);
  const vms = [qemuVm(VM, guest.qmpSocket)];
  return {
    dir,
    guest,
    monitor,
    config: lifeConfig({ dir, policy: policyOf('[restart]'), vms, changes }),
  };
};

/** What is behind a VM's socket, and what health says of it. */
const NOT_QEMU: Readonly<Record<string, string>> = {
  'other-protocol': 'does not speak QMP: it began with "SSH-2.0-OpenSSH_9.2',
  'no-greeting': 'sent no QMP greeting in 5000 ms',
  'half-greeting': 'sent no QMP greeting in 5000 ms',
  'garbage-after-greeting': 'sent what is not QMP',
  'half-answer': 'QEMU did not answer qmp_capabilities',
  'wrong-answers': 'in a form unknown here',
  'dies-at-once': 'was closed by its QEMU',
  'dies-after-greeting': 'was closed by its QEMU',
  'endless-line': 'sent a line of more than 1048576 bytes',
  'a-file': 'nothing listens on',
  'not-there': 'there is no socket',
};
/** Health tells of eight parts at most. */
const HALVES = [Object.keys(NOT_QEMU).slice(0, 6), Object.keys(NOT_QEMU).slice(6)];

describePart('qemu-system-x86_64', 'monitors that are not what they should be', () => {
  it.each(HALVES)(
    'are named with the reason, while other VMs are answered: %s, %s, %s, %s, %s, ...',
    async (...names) => {
      const dir = await lifeDir();
      const sockets = await startPeers(dir);
      const { guest } = await heldGuest(dir, PAUSES);
      const vms = [
        qemuVm(VM, guest.qmpSocket),
        ...names.map((name) => qemuVm(name, sockets.get(name) ?? '')),
      ];
      const config = lifeConfig({ dir, policy: policyOf('[restart]'), vms });
      const { life, address } = await startLife(config);
      const client = connected(address);
      await client.settled(VM, 'running');
      await waitFor('health names them all', async () => {
        const { serving, detail } = await client.health();
        return serving && detail.length === names.length;
      });
      const { detail } = await client.health();
      for (const name of names) {
        const said = detail.find((text) => text.startsWith(`vm ${name}: out of contact: `));
        expect(said, detail.join('\n')).toContain(NOT_QEMU[name]);
      }

      guest.send('panic');
      await guest.booted(2);
      await client.settled(VM, 'running');
      for (const name of names) expect((await client.vm(name))?.incidentId ?? '').toBe('');
      expect(await life.stop()).toMatchObject(STOPPED);
      expect(guest.boots()).toBe(2);
    },
  );

  it('of a QEMU that hangs: the step ends at its deadline, and nothing is done late', async () => {
    const dir = await lifeDir();
    const { guest, monitor } = await heldGuest(dir, PAUSES);
    const vms = [qemuVm(VM, guest.qmpSocket)];
    const policy = policyOf('[{ restart: { timeout: 500ms } }]');
    const { life, address } = await startLife(lifeConfig({ dir, policy, vms }));
    const client = connected(address);
    const ledger = new LifeLedger();
    ledger.follow(client);
    await client.settled(VM, 'running');
    process.kill(guest.pid, 'SIGSTOP');
    try {
      await client.report(VM, 'crashed', 0n, CRASH);
      const failed = () =>
        ledger.bodies(VM, 'step').some((step) => step.state === StepState.FAILED);
      await ledger.until('the step fails', failed);
      expect(ledger.bodies(VM, 'step').at(-1)?.reason).toBe('DEADLINE_EXCEEDED');
      expect((await client.health()).serving).toBe(true);
    } finally {
      process.kill(guest.pid, 'SIGCONT');
    }
    await guest.ping();
    expect(await life.stop()).toMatchObject(STOPPED);
    await guest.ping();
    expect(guest.boots()).toBe(1);
    expect(monitor.events()).not.toContain('RESET');
  });
});

describePart('qemu-system-x86_64', 'a second start', () => {
  it('on the same data directory is refused, and the first is not harmed', async () => {
    const { guest, config } = await oneGuest();
    const first = await startLife(config);
    const client = connected(first.address);
    await client.settled(VM, 'running');
    for (const second of [config, { ...config, socket: `${config.socket}2` }]) {
      const refused = spawnLife(second);
      await expect(refused.ready).rejects.toMatchObject({
        reason: 'JOURNAL_IN_USE',
        message: expect.stringContaining(`in use by process ${first.life.pid}`),
      });
      expect(await refused.end()).toMatchObject({ code: 1, signal: null, stderr: '' });
    }
    expect(existsSync(config.socket)).toBe(true);
    guest.send('panic');
    await guest.booted(2);
    await client.settled(VM, 'running');
    expect(await client.health()).toEqual({ serving: true, detail: [] });
    expect(await first.life.stop()).toMatchObject(STOPPED);
    expect(guest.boots()).toBe(2);
  });

  it('on the same socket with another data directory is refused, and gives its directory back', async () => {
    const { config } = await oneGuest();
    const first = await startLife(config);
    const other = { ...config, dataDir: `${config.dataDir}2`, vms: [] };
    const refused = spawnLife(other);
    await expect(refused.ready).rejects.toMatchObject({ reason: 'SOCKET_IN_USE' });
    expect(await refused.end()).toMatchObject({ code: 1, signal: null, stderr: '' });
    expect((await connected(first.address).health()).serving).toBe(true);
    expect(await first.life.stop()).toMatchObject(STOPPED);
    const second = await startLife(other);
    expect(await second.life.stop()).toMatchObject(STOPPED);
  });

  it('replaces the socket that a killed one left behind, and nothing else', async () => {
    const { config } = await oneGuest();
    const { life } = await startLife(config);
    expect(await life.kill()).toMatchObject(KILLED);
    expect(lstatSync(config.socket).isSocket()).toBe(true);
    const second = await startLife(config);
    expect((await connected(second.address).health()).serving).toBe(true);
    expect(await second.life.stop()).toMatchObject(STOPPED);
    expect(existsSync(config.socket)).toBe(false);

    writeFileSync(config.socket, 'precious');
    const refused = spawnLife(config);
    await expect(refused.ready).rejects.toMatchObject({ reason: 'SOCKET_NOT_A_SOCKET' });
    await refused.end();
    expect(lstatSync(config.socket).size).toBe('precious'.length);
  });

  it('on a journal of a newer format is refused, says both, and changes nothing', async () => {
    const { config } = await oneGuest();
    const { life } = await startLife(config);
    expect(await life.stop()).toMatchObject(STOPPED);
    const dir = join(config.dataDir, 'journal');
    const setFormat = async (format: number): Promise<void> => {
      const store = openStore({ dir, readOnly: false, check: () => undefined });
      store.meta.putSync('format', format);
      await store.env.close();
    };
    await setFormat(7);
    const refused = spawnLife(config);
    await expect(refused.ready).rejects.toBeInstanceOf(LifeRefused);
    await expect(refused.ready).rejects.toMatchObject({
      reason: 'JOURNAL_NEWER_FORMAT',
      message: expect.stringMatching(/format 7; .* up to format 1/),
    });
    expect(await refused.end()).toMatchObject({ code: 1, signal: null, stderr: '' });
    await setFormat(1);
    const again = await startLife(config);
    expect(await again.life.stop()).toMatchObject(STOPPED);
  });
});

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
      const client = connected(address);
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
      const client = connected(first.address);
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
        const meanwhile = connected(started);
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
      const last = connected(third.address);
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
