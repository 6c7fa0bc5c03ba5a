import { existsSync, lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { StepState } from '../../src/gen/vmwarden/v1/record.js';
import { openStore } from '../../src/journal/lmdb/store.js';
import { heldGuest, lifeDir, VM } from '../support/kill-rig.js';
import { KILLED, LifeRefused, STOPPED, spawnLife, startLife } from '../support/life.js';
import { lifeConfig, policyOf, qemuVm } from '../support/life-config.js';
import { LifeLedger } from '../support/life-ledger.js';
import { connectedLife, oneGuest, PAUSES } from '../support/life-one.js';
import { startPeers } from '../support/life-peers.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';

/** The kernel's number. */
const CRASH = 3;

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
      const client = connectedLife(address);
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
    const client = connectedLife(address);
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
    const client = connectedLife(first.address);
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
    expect((await connectedLife(first.address).health()).serving).toBe(true);
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
    expect((await connectedLife(second.address).health()).serving).toBe(true);
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
