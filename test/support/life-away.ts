import { expect, onTestFinished } from 'vitest';
import type { Config, VmConfig } from '../../src/config/config.js';
import { EventType, Initiator } from '../../src/gen/vmwarden/v1/system_event.js';
import type { Guest, GuestCommand } from '../../src/guest/guest.js';
import { heldGuest, lifeDir, VM } from './kill-rig.js';
import { KILLED, type Life, STOPPED, startLife, within } from './life.js';
import { connectLife, type LifeClient } from './life-client.js';
import { lifeConfig, qemuVm } from './life-config.js';
import { LifeLedger } from './life-ledger.js';
import type { QmpClient } from './qmp-client.js';
import { waitFor } from './wait-for.js';

/** A guest, and vmwarden coming and going. */
export class Away {
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
    policy: string,
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
