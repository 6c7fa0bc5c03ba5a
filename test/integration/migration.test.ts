import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { EventType } from '../../src/gen/vmwarden/v1/system_event.js';
import type { Guest } from '../../src/guest/guest.js';
import { killSeed, seededRandom } from '../support/kill-random.js';
import { heldGuest, lifeDir, VM } from '../support/kill-rig.js';
import { type Life, STOPPED, startLife } from '../support/life.js';
import { connectLife, type LifeClient } from '../support/life-client.js';
import { lifeConfig, policyOf, qemuVm } from '../support/life-config.js';
import { LifeLedger } from '../support/life-ledger.js';
import { describePart } from '../support/parts.js';
import type { QmpClient } from '../support/qmp-client.js';
import { waitFor } from '../support/wait-for.js';

/** A guest's place on one host: a QEMU, a monitor for the one who migrates, and that host's vmwarden. */
class Side {
  readonly guest: Guest;
  readonly monitor: QmpClient;
  readonly life: Life;
  readonly client: LifeClient;
  readonly ledger = new LifeLedger();

  private constructor(guest: Guest, monitor: QmpClient, life: Life, client: LifeClient) {
    this.guest = guest;
    this.monitor = monitor;
    this.life = life;
    this.client = client;
    this.ledger.follow(client);
  }

  static async start(dir: string, args: readonly string[], policy: string): Promise<Side> {
    await mkdir(dir);
    const { guest, monitor } = await heldGuest(dir, ['-action', 'panic=pause', ...args]);
    const vms = [qemuVm(VM, guest.qmpSocket)];
    const { life, address } = await startLife(lifeConfig({ dir, policy, vms }));
    const client = connectLife(address);
    onTestFinished(client.close);
    return new Side(guest, monitor, life, client);
  }

  async status(): Promise<string> {
    return ((await this.monitor.run('query-status')) as { readonly status: string }).status;
  }

  async migration(): Promise<string> {
    const answer = (await this.monitor.run('query-migrate')) as { readonly status?: string };
    return answer.status ?? 'none';
  }

  /** What was done about each incident, in order. */
  done(): readonly string[] {
    return [...this.ledger.incidents(VM).values()].map((words) => words.join(', '));
  }

  async crashes(count: number): Promise<void> {
    const crashes = () =>
      this.ledger.bodies(VM, 'event').filter(({ event }) => event?.type === EventType.CRASH);
    await this.ledger.until(`${count} crashes are told`, () => crashes().length >= count);
  }

  async isDone(...words: readonly string[]): Promise<void> {
    const asked = words.join('; ');
    await this.ledger
      .until(asked, () => this.done().join('; ') === asked)
      .catch((error: Error) => {
        throw new Error(`${error.message}, but ${this.done().join('; ')}`);
      });
  }

  async stops(): Promise<void> {
    expect(await this.life.stop()).toMatchObject(STOPPED);
  }
}

/** Two hosts, of which one waits for the other's guest, and somebody who looks all the time that only one runs it. */
class Pair {
  readonly source: Side;
  readonly target: Side;
  readonly #uri: string;
  readonly #both: string[] = [];
  #looking: Promise<void> | null = null;
  #looks = 0;
  #over = false;

  private constructor(source: Side, target: Side, uri: string) {
    this.source = source;
    this.target = target;
    this.#uri = uri;
  }

  static async start(policy = policyOf('[restart]')): Promise<Pair> {
    const dir = await lifeDir();
    const uri = `unix:${join(dir, 'm')}`;
    const source = await Side.start(join(dir, 'a'), [], policy);
    const target = await Side.start(join(dir, 'b'), ['-incoming', uri], policy);
    await source.guest.booted(1);
    await source.client.settled(VM, 'running');
    await target.client.settled(VM, 'inmigrate');
    const pair = new Pair(source, target, uri);
    pair.#looking = pair.#look();
    onTestFinished(async () => {
      pair.#over = true;
      await pair.#looking;
    });
    return pair;
  }

  /** Slow enough that it still goes on when the test is done with it. */
  async migrateSlowly(): Promise<void> {
    await this.source.monitor.run('migrate-set-parameters', { 'max-bandwidth': 4096 });
    await this.migrate();
    await waitFor('it goes on', async () => (await this.source.migration()) === 'active');
  }

  async migrate(): Promise<void> {
    await this.source.monitor.run('migrate', { uri: this.#uri });
  }

  async completes(): Promise<void> {
    await this.source.monitor.run('migrate-set-parameters', { 'max-bandwidth': 1024 ** 3 });
    await this.ends('completed');
  }

  async ends(how: string): Promise<void> {
    await waitFor(`the migration has ${how}`, async () => (await this.source.migration()) === how);
  }

  /** The guest runs on this side, and nowhere else; nobody has seen it run twice. */
  async runsOnlyOn(side: Side, boots: { readonly source: number; readonly target: number }) {
    await side.client.settled(VM, 'running');
    await side.guest.ping();
    expect(await side.status()).toBe('running');
    const other = side === this.source ? this.target : this.source;
    const elsewhere = await other.status().catch(() => 'gone');
    expect(elsewhere).not.toBe('running');
    expect({ source: this.source.guest.boots(), target: this.target.guest.boots() }).toEqual(boots);
    await this.source.stops();
    await this.target.stops();
    this.#over = true;
    await this.#looking;
    expect(this.#both).toEqual([]);
    expect(this.#looks).toBeGreaterThan(0);
    expect({ source: this.source.guest.boots(), target: this.target.guest.boots() }).toEqual(boots);
  }

  async #look(): Promise<void> {
    while (!this.#over) {
      // The target first: a guest leaves the source for good, so a source that runs after its target did is a second one.
      const there = await this.target.status().catch(() => 'gone');
      const here = await this.source.status().catch(() => 'gone');
      this.#looks += 1;
      if (here === 'running' && there === 'running') this.#both.push(`look ${this.#looks}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** The second restart waits for a second. */
const SECOND_WAITS = policyOf('[restart]').replace('base: 0s, max: 0s', 'base: 1s, jitter: 0');

describePart(
  'qemu-system-x86_64',
  'a live migration between two hosts with a vmwarden each',
  () => {
    it('panic before it, answered there before it', async () => {
      const pair = await Pair.start();
      const { source, target } = pair;
      source.guest.send('panic');
      await source.isDone('restart applied');
      await pair.migrate();
      await pair.ends('completed');
      await pair.runsOnlyOn(target, { source: 2, target: 0 });
      expect(target.done()).toEqual([]);
    });

    it('panic before it, whose answer waits: the target gives it', async () => {
      const pair = await Pair.start(SECOND_WAITS);
      const { source, target } = pair;
      source.guest.send('panic');
      await source.isDone('restart applied');
      await source.guest.booted(2);
      await source.guest.ping();
      source.guest.send('panic');
      await source.crashes(2);
      await pair.migrate();
      await pair.ends('completed');
      await source.isDone('restart applied', 'restart unsupported');
      await target.isDone('restart applied');
      await pair.runsOnlyOn(target, { source: 2, target: 1 });
    });

    it('panic during it: the source leaves the guest alone, the target answers', async () => {
      const pair = await Pair.start();
      const { source, target } = pair;
      await pair.migrateSlowly();
      source.guest.send('panic');
      await source.isDone('restart unsupported');
      expect(await source.status()).toBe('guest-panicked');
      await pair.completes();
      await target.isDone('restart applied');
      await pair.runsOnlyOn(target, { source: 1, target: 1 });
    });

    it('panic during it, and it is cancelled: the source answers then', async () => {
      const pair = await Pair.start();
      const { source } = pair;
      await pair.migrateSlowly();
      source.guest.send('panic');
      await source.isDone('restart unsupported');
      await source.monitor.run('migrate_cancel');
      await pair.ends('cancelled');
      await source.isDone('restart unsupported', 'restart applied');
      await pair.runsOnlyOn(source, { source: 2, target: 0 });
    });

    it('panic during it, and the target is killed: the source answers then', async () => {
      const pair = await Pair.start();
      const { source, target } = pair;
      await pair.migrateSlowly();
      source.guest.send('panic');
      await source.isDone('restart unsupported');
      process.kill(target.guest.pid, 'SIGKILL');
      await pair.ends('failed');
      await source.isDone('restart unsupported', 'restart applied');
      await pair.runsOnlyOn(source, { source: 2, target: 0 });
      expect(target.done()).toEqual([]);
    });

    it('panic after it is cancelled: answered as ever', async () => {
      const pair = await Pair.start();
      const { source } = pair;
      await pair.migrateSlowly();
      await source.monitor.run('migrate_cancel');
      await pair.ends('cancelled');
      source.guest.send('panic');
      await source.guest.booted(2);
      await pair.runsOnlyOn(source, { source: 2, target: 0 });
    });

    it('panic after it, on the target; a reset and the end of what was left behind start nothing', async () => {
      const pair = await Pair.start();
      const { source, target } = pair;
      await pair.migrate();
      await pair.ends('completed');
      await target.client.settled(VM, 'running');
      target.guest.send('panic');
      await target.isDone('restart applied');
      await target.guest.booted(1);

      await source.monitor.run('system_reset');
      await waitFor('it is reset', async () => (await source.status()) === 'prelaunch');
      await source.ledger.until('the reset is told', () =>
        source.ledger.bodies(VM, 'event').some(({ event }) => event?.type === EventType.RESET),
      );
      await target.guest.ping();
      expect(await source.status()).toBe('prelaunch');
      await source.monitor.run('quit');
      await source.ledger.until('the exit is told', () =>
        source.ledger.bodies(VM, 'event').some(({ event }) => event?.type === EventType.VMM_EXITED),
      );
      expect(source.done()).toEqual([]);
      await pair.runsOnlyOn(target, { source: 1, target: 1 });
    });

    it('panic at a random moment of it: one side answers, once', async () => {
      const seed = killSeed();
      const random = seededRandom(seed);
      const where = { source: 0, target: 0 };
      for (let round = 0; round < 5; round += 1) {
        const pair = await Pair.start();
        const { source, target } = pair;
        await pair.migrate();
        // All of it takes some 10 ms.
        await new Promise((resolve) => setTimeout(resolve, random() * 15));
        source.guest.send('panic');
        await pair.ends('completed');
        // Its byte may have got lost on the wire between two serial ports: then the guest just runs there.
        await waitFor('it runs there', async () => (await target.status()) === 'running');
        await target.client.settled(VM, 'running');
        const boots = { source: source.guest.boots(), target: target.guest.boots() };
        expect(boots.source + boots.target, `seed ${seed}`).toBeLessThanOrEqual(2);
        where.source += boots.source - 1;
        where.target += boots.target;
        await pair.runsOnlyOn(target, boots);
      }
      console.log(
        `seed ${seed}: restarted on the source ${where.source}, on the target ${where.target} times`,
      );
    });
  },
);
