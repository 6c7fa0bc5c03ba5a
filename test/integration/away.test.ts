import { expect, it, onTestFinished } from 'vitest';
import type { Config, VmConfig } from '../../src/config/config.js';
import { EventType, Initiator } from '../../src/gen/vmwarden/v1/system_event.js';
import type { Guest, GuestCommand } from '../../src/guest/guest.js';
import { heldGuest, lifeDir, VM } from '../support/kill-rig.js';
import { KILLED, type Life, STOPPED, startLife, within } from '../support/life.js';
import { connectLife, type LifeClient } from '../support/life-client.js';
import { lifeConfig, qemuVm } from '../support/life-config.js';
import { LifeLedger } from '../support/life-ledger.js';
import { describePart } from '../support/parts.js';
import type { QmpClient } from '../support/qmp-client.js';
import { waitFor } from '../support/wait-for.js';

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

/** A guest, and vmwarden coming and going. */
class Away {
  readonly guest: Guest;
  readonly monitor: QmpClient;
  readonly ledger = new LifeLedger();
  readonly #config: Config;
  #life: Life | null = null;
  #client: LifeClient | null = null;

  private constructor(guest: Guest, monitor: QmpClient, config: Config) {
    this.guest = guest;
    this.monitor = monitor;
    this.#config = config;
  }

  static async start(
    args: readonly string[],
    vm: Partial<VmConfig>,
    policy = RESTART_ALL,
  ): Promise<Away> {
    const dir = await lifeDir();
    const { guest, monitor } = await heldGuest(dir, args);
    const vms = [qemuVm(VM, guest.qmpSocket, vm)];
    const away = new Away(guest, monitor, lifeConfig({ dir, policy, vms }));
    await guest.booted(1);
    const client = await away.comes();
    await client.settled(VM, 'running');
    return away;
  }

  async comes(): Promise<LifeClient> {
    const { life, address } = await startLife(this.#config);
    const client = connectLife(address);
    onTestFinished(client.close);
    this.ledger.follow(client);
    this.#life = life;
    this.#client = client;
    return client;
  }

  async stops(): Promise<void> {
    expect(await this.#life?.stop()).toMatchObject(STOPPED);
    this.#gone();
  }

  async isKilled(): Promise<void> {
    await this.#life?.kill();
    this.#gone();
  }

  async diesAt(point: string): Promise<void> {
    await this.#life?.arm(point);
    this.guest.send('panic');
    expect(await this.#life?.end()).toMatchObject(KILLED);
    this.#gone();
  }

  /** An operator restarts the guest by hand, on the other monitor. */
  async isRestartedByHand(boots: number): Promise<void> {
    await this.monitor.run('system_reset');
    await this.monitor.run('cont');
    await this.guest.booted(boots);
  }

  /** What was done about each incident, in order. */
  done(): readonly string[] {
    return [...this.ledger.incidents(VM).values()].map((words) => words.join(', '));
  }

  /** The guest does something while nobody watches, and QEMU leaves it in this state. */
  async does(command: GuestCommand, state: string): Promise<void> {
    this.guest.send(command);
    await this.stays(state);
  }

  async stays(state: string): Promise<void> {
    await waitFor(`QEMU says ${state}`, async () => {
      const status = (await this.monitor.run('query-status')) as { readonly status: string };
      return status.status === state;
    });
  }

  /** The guest does something, and QEMU ends by itself. */
  async ends(command: GuestCommand): Promise<void> {
    this.guest.send(command);
    expect(await within('QEMU ends', this.guest.exited, 5_000)).toEqual({ code: 0, signal: null });
    expect(this.guest.boots()).toBe(1);
  }

  /** vmwarden comes back, finds the guest down, and restarts it, once; another life has nothing left to do. */
  async isRestartedOnReturn(type: EventType): Promise<void> {
    const client = await this.comes();
    await this.guest.booted(2);
    await this.#answered(['restart applied']);
    await client.settled(VM, 'running');
    const [event] = this.ledger.bodies(VM, 'event');
    expect(event).toMatchObject({ event: { type }, reconciled: true });
    await this.stops();
    const again = await this.comes();
    await again.settled(VM, 'running');
    await this.guest.ping();
    await this.stops();
    expect(this.guest.boots()).toBe(2);
    expect(this.ledger.incidents(VM).size).toBe(1);
  }

  /** vmwarden comes back, says that the process has gone, and does nothing. */
  async isMissedOnReturn(): Promise<void> {
    await this.comes();
    await this.ledger.until('the exit is told', () => this.#events(EventType.VMM_EXITED) === 1);
    await this.stops();
    await this.comes();
    await this.stops();
    expect(this.#events(EventType.VMM_EXITED)).toBe(1);
    expect(this.ledger.bodies(VM, 'event')).toMatchObject([
      { reconciled: true, initiator: Initiator.UNKNOWN },
    ]);
    expect([...this.ledger.incidents(VM)]).toEqual([]);
  }

  async isPoweredOffOnReturn(): Promise<void> {
    await this.comes();
    expect(await within('QEMU ends', this.guest.exited, 5_000)).toEqual({ code: 0, signal: null });
    await this.#answered(['powerOff applied']);
    await this.stops();
    expect(this.guest.boots()).toBe(1);
  }

  async warnings(): Promise<string> {
    return (await this.#client?.vm(VM))?.warnings.join('\n') ?? '';
  }

  #events(type: EventType): number {
    return this.ledger.bodies(VM, 'event').filter(({ event }) => event?.type === type).length;
  }

  async #answered(words: readonly string[]): Promise<void> {
    const done = () => [...this.ledger.incidents(VM).values()].flat();
    await this.ledger.until('it is answered', () => done().length >= words.length);
    expect(done()).toEqual(words);
  }

  #gone(): void {
    this.ledger.leave();
    this.#client?.close();
  }
}

describePart('qemu-system-x86_64', 'while vmwarden is stopped, having taken over', () => {
  const take = { takeOver: true };

  it('a guest that panics ends, as QEMU does by itself', async () => {
    const away = await Away.start([], take);
    await away.stops();
    await away.ends('panic');
    await away.isMissedOnReturn();
  });

  it('a guest that powers off ends', async () => {
    const away = await Away.start([], take);
    await away.stops();
    await away.ends('powerOff');
    await away.isMissedOnReturn();
  });

  it('a guest whose watchdog runs out is reset by QEMU', async () => {
    const away = await Away.start([], take);
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
    const away = await Away.start([], { ...take, release: release as VmConfig['release'] });
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
    const away = await Away.start([], take);
    await away.isKilled();
    await away.does(does, state);
    await away.isRestartedOnReturn(type);
  });

  it('the next life puts back what the dead one took over', async () => {
    const away = await Away.start([], take);
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
      const away = await Away.start([], {});
      expect(await away.warnings()).toContain('-action panic=pause');
      expect(await away.warnings()).toContain('-no-shutdown');
      await away.isKilled();
      await away.ends(command);
      await away.isMissedOnReturn();
    }
  });

  it('a guest that resets itself needs no answer', async () => {
    const away = await Away.start([], {});
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
      const away = await Away.start(['-action', 'panic=pause'], {});
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
    const away = await Away.start(['-action', 'watchdog=pause'], {});
    await away.stops();
    await away.does('watchdog', 'watchdog');
    await away.isRestartedOnReturn(EventType.WATCHDOG);
  });

  it('a panic that QEMU ends under our eyes is told, and not held to be answered', async () => {
    const away = await Away.start([], {});
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
