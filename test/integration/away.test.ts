import { expect, it } from 'vitest';
import type { VmConfig } from '../../src/config/config.js';
import { EventType } from '../../src/gen/vmwarden/v1/system_event.js';
import { VM } from '../support/kill-rig.js';
import { Away } from '../support/life-away.js';
import { describePart } from '../support/parts.js';

/** Answers differently from QEMU whatever the guest does, so that take-over takes all of it over. */
const RESTART_ALL = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: away }
spec:
  mode: enforce
  rules:
    - { name: down, on: [CRASH, WATCHDOG, SHUTDOWN], do: [restart] }
  otherwise: [notify]
`;
const POWER_OFF = RESTART_ALL.replace('[restart]', '[powerOff]');

/** The second restart waits; the dump before it leaves time for anything. */
const SLOW = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: away }
spec:
  mode: enforce
  budgets:
    crash:
      limits: [{ attempts: 5, within: 1h }]
      delay: { base: 1s, jitter: 0 }
  rules:
    - { name: crashed, on: [CRASH], do: [dump, restart], budget: crash }
  otherwise: [notify]
`;

describePart('qemu-system-x86_64', 'while vmwarden is stopped, having taken over', () => {
  const take = { takeOver: true };

  it('a guest that panics ends, as QEMU does by itself', async () => {
    const away = await Away.start([], take, RESTART_ALL);
    await away.stops();
    await away.ends('panic');
    await away.isMissedOnReturn();
  });

  it('a guest that powers off ends', async () => {
    const away = await Away.start([], take, RESTART_ALL);
    await away.stops();
    await away.ends('powerOff');
    await away.isMissedOnReturn();
  });

  it('a guest whose watchdog runs out is reset by QEMU', async () => {
    const away = await Away.start([], take, RESTART_ALL);
    await away.stops();
    away.guest.send('watchdog');
    await away.guest.booted(2);
    const client = await away.comes();
    await client.settled(VM, 'running');
    await away.guest.ping();
    await away.stops();
    expect(away.guest.boots()).toBe(2);
    expect([...away.ledger.incidents(VM)]).toEqual([]);
  });

  it('a guest does what `release` says instead: pause, and be answered on return', async () => {
    const release = { panic: 'pause', shutdown: 'poweroff', watchdog: 'none', reboot: 'reset' };
    const away = await Away.start(
      [],
      { ...take, release: release as VmConfig['release'] },
      RESTART_ALL,
    );
    await away.stops();
    await away.does('panic', 'guest-panicked');
    await away.isRestartedOnReturn(EventType.CRASH);
  });

  it('a policy that answers a power-off as QEMU does takes nothing over from it', async () => {
    const away = await Away.start([], take, POWER_OFF);
    await away.isKilled();
    await away.ends('powerOff');
    await away.isMissedOnReturn();
  });
});

describePart('qemu-system-x86_64', 'while vmwarden is dead by kill -9, having taken over', () => {
  const take = { takeOver: true };

  it.each([
    ['panic', 'guest-panicked', EventType.CRASH],
    ['powerOff', 'shutdown', EventType.SHUTDOWN],
    ['watchdog', 'watchdog', EventType.WATCHDOG],
  ] as const)('%s: the guest waits in %s, and is answered on return', async (does, state, type) => {
    const away = await Away.start([], take, RESTART_ALL);
    await away.isKilled();
    await away.does(does, state);
    await away.isRestartedOnReturn(type);
  });

  it('the next life puts back what the dead one took over', async () => {
    const away = await Away.start([], take, RESTART_ALL);
    await away.isKilled();
    const client = await away.comes();
    await client.settled(VM, 'running');
    await away.stops();
    await away.ends('panic');
  });
});

describePart('qemu-system-x86_64', 'while vmwarden is away, not having taken over', () => {
  it('QEMU ends a guest that panics, and one that powers off', async () => {
    for (const command of ['panic', 'powerOff'] as const) {
      const away = await Away.start([], {}, RESTART_ALL);
      expect(await away.warnings()).toContain('-action panic=pause');
      expect(await away.warnings()).toContain('-no-shutdown');
      await away.isKilled();
      await away.ends(command);
      await away.isMissedOnReturn();
    }
  });

  it('a guest that resets itself needs no answer', async () => {
    const away = await Away.start([], {}, RESTART_ALL);
    await away.isKilled();
    away.guest.send('reset');
    await away.guest.booted(2);
    const client = await away.comes();
    await client.settled(VM, 'running');
    await away.stops();
    expect(away.guest.boots()).toBe(2);
    expect([...away.ledger.incidents(VM)]).toEqual([]);
  });

  it('-action panic=pause: a panicked guest waits, and is restarted on return', async () => {
    for (const leave of ['stops', 'isKilled'] as const) {
      const away = await Away.start(['-action', 'panic=pause'], {}, RESTART_ALL);
      await away[leave]();
      await away.does('panic', 'guest-panicked');
      await away.isRestartedOnReturn(EventType.CRASH);
    }
  });

  it('-no-shutdown: a guest that powered off waits, and is ended on return', async () => {
    const away = await Away.start(['-no-shutdown'], {}, POWER_OFF);
    await away.stops();
    await away.does('powerOff', 'shutdown');
    await away.isPoweredOffOnReturn();
  });

  it('-action watchdog=pause: the guest waits, and is restarted on return', async () => {
    const away = await Away.start(['-action', 'watchdog=pause'], {}, RESTART_ALL);
    await away.stops();
    await away.does('watchdog', 'watchdog');
    await away.isRestartedOnReturn(EventType.WATCHDOG);
  });

  it('a panic that QEMU ends under our eyes is told, and not held to be answered', async () => {
    const away = await Away.start([], {}, RESTART_ALL);
    await away.ends('panic');
    const done = () => [...away.ledger.incidents(VM).values()].flat();
    await away.ledger.until('the restart has an outcome', () => done().length > 0);
    // Whether QEMU has gone before the reset or with it is a matter of a millisecond.
    expect(['restart failed', 'restart unverified']).toContain(done()[0]);
    await away.stops();
  });
});

describePart(
  'qemu-system-x86_64',
  'a guest that an operator restarted while vmwarden was dead',
  () => {
    const args = ['-action', 'panic=pause'];

    it('is not restarted again by a plan whose first step was done', async () => {
      const away = await Away.start(args, {}, SLOW);
      await away.diesAt('dump:completed');
      await away.isRestartedByHand(2);
      const client = await away.comes();
      await away.ledger.until('it is answered', () => away.done().join().includes('restart'));
      expect(away.done()).toEqual(['dump already, restart already']);
      await client.settled(VM, 'running');
      await away.guest.ping();
      await away.stops();
      expect(away.guest.boots()).toBe(2);
    });

    it('is not restarted again by a step that still waited', async () => {
      const away = await Away.start(args, {}, SLOW);
      away.guest.send('panic');
      await away.ledger.until('the first restart', () => away.done().join().includes('restart'));
      await away.guest.booted(2);
      await away.guest.ping();
      away.guest.send('panic');
      await away.ledger.until('a second incident', () => away.ledger.incidents(VM).size === 2);
      await away.isKilled();
      await away.stays('guest-panicked');
      await away.isRestartedByHand(3);
      const client = await away.comes();
      await away.ledger.until('it is answered', () => away.done().join().includes('cancelled'));
      expect(away.done()).toEqual(['dump applied, restart applied', 'dump cancelled']);
      await client.settled(VM, 'running');
      await away.guest.ping();
      await away.stops();
      expect(away.guest.boots()).toBe(3);
    });
  },
);
