import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Config } from '../../src/config/config.js';
import { Record, StepState } from '../../src/gen/vmwarden/v1/record.js';
import type { Guest } from '../../src/guest/guest.js';
import { startQemuGuest } from '../../src/guest/qemu-guest.js';
import { KillReporter } from './kill-reporter.js';
import {
  KILLED,
  killLives,
  type Life,
  lifeLog,
  STOPPED,
  spawnLife,
  startLife,
  tailOf,
} from './life.js';
import { connectLife, type LifeClient } from './life-client.js';
import { lifeConfig, policyOf, qemuVm } from './life-config.js';
import { LifeLedger, readClosedJournal, unendedSteps } from './life-ledger.js';
import { partPath } from './parts.js';
import { connectQmpClient, type QmpClient } from './qmp-client.js';

export const VM = 'web-1';

/** A private directory, short enough for sockets, gone when the test is over. */
export const lifeDir = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'vmw-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  onTestFinished(killLives);
  return dir;
};

/** A guest in a real QEMU that its test holds, with a second monitor for a second opinion. */
export const heldGuest = async (
  dir: string,
  args: readonly string[],
  name = 'guest',
): Promise<{ readonly guest: Guest; readonly monitor: QmpClient }> => {
  const qemu = partPath('qemu-system-x86_64');
  const guest = await startQemuGuest({ dir, qemu, name, args, monitors: 2 });
  onTestFinished(guest.stop);
  const monitor = await connectQmpClient(guest.qmpSockets[1] ?? '');
  onTestFinished(monitor.close);
  return { guest, monitor };
};

/** One guest that panics again and again, and life after life of vmwarden that has to answer each time, once. */
export class KillRig {
  readonly #guest: Guest;
  readonly #monitor: QmpClient;
  readonly #config: Config;
  readonly #ledger = new LifeLedger();
  readonly #reporter = new KillReporter();
  #client: LifeClient | null = null;
  #panics = 0;

  private constructor(guest: Guest, monitor: QmpClient, config: Config) {
    this.#guest = guest;
    this.#monitor = monitor;
    this.#config = config;
  }

  static async start(plan: string): Promise<KillRig> {
    const dir = await lifeDir();
    const { guest, monitor } = await heldGuest(dir, ['-action', 'panic=pause']);
    const vms = [qemuVm(VM, guest.qmpSocket)];
    const rig = new KillRig(guest, monitor, lifeConfig({ dir, policy: policyOf(plan), vms }));
    onTestFinished(() => rig.#leave());
    return rig;
  }

  /**
   * A new life, which first settles what the one before left undone; resolves when it has. Then the guest has booted
   * once for each panic, neither more nor less: by its own boot bytes, and by QEMU's events on another monitor.
   */
  async live(): Promise<Life> {
    this.#leave();
    const { life, address } = await startLife(this.#config);
    const client = connectLife(address);
    this.#client = client;
    this.#ledger.follow(client);
    this.#reporter.to(client);
    await this.#explained(this.#ledger.until('each panic is answered', () => this.#answered()));
    await this.#explained(client.settled(VM, 'running'));
    await this.#explained(this.#guest.booted(1 + this.#panics));
    await this.#guest.ping();
    expect(await this.#monitor.run('query-status')).toMatchObject({ status: 'running' });
    expect(this.#boots(), this.#log()).toEqual({
      bootBytes: 1 + this.#panics,
      resets: this.#panics,
    });
    return life;
  }

  panic(): void {
    this.#panics += 1;
    this.#guest.send('panic');
  }

  /** The guest panics, and the life kills itself at the point. */
  async killAt(life: Life, point: string): Promise<void> {
    await life.arm(point);
    this.panic();
    expect(await life.end()).toMatchObject(KILLED);
  }

  /** A life that kills itself at the point while it settles what the one before left. */
  async killWhileResuming(point: string): Promise<void> {
    expect(await spawnLife(this.#config, { point, nth: 1 }).end()).toMatchObject(KILLED);
  }

  /** A life that is killed some time after its birth, whatever it does then. */
  async killAfter(ms: number): Promise<void> {
    const life = spawnLife(this.#config);
    await new Promise((resolve) => setTimeout(resolve, ms));
    expect(await life.kill()).toMatchObject(KILLED);
  }

  /** The last life, stopped gracefully; then the journal has to be whole, and to tell one answer for each panic. */
  async finish(verbs: readonly string[]): Promise<void> {
    const life = await this.live();
    await this.#reporter.stop();
    expect(await life.stop()).toMatchObject(STOPPED);
    expect(this.#boots(), this.#log()).toMatchObject({ bootBytes: 1 + this.#panics });

    const { records, problems } = await readClosedJournal(join(this.#config.dataDir, 'journal'));
    expect(problems).toEqual([]);
    expect(this.#ledger.complaints).toEqual([]);
    // What a watcher was shown was durable: no life after may know it otherwise.
    const shown = this.#ledger.records.map((record) => Record.toJSON(record));
    expect(records.slice(0, shown.length).map((record) => Record.toJSON(record))).toEqual(shown);
    expect(this.#reporter.acked.length).toBeGreaterThan(this.#panics);
    expect(this.#reporter.complaints(records)).toEqual([]);
    expect(unendedSteps(records)).toEqual([]);

    for (const { path } of appliedDumps(records)) {
      // What QEMU writes is kdump's flattened form.
      expect(readFileSync(path).subarray(0, 12).toString()).toBe('makedumpfile');
    }

    const incidents = [...this.#ledger.incidents(VM)];
    expect(incidents.length, this.#log()).toBe(this.#panics);
    for (const [id, done] of incidents) {
      for (const verb of verbs) {
        const good = done.filter((word) => [`${verb} applied`, `${verb} already`].includes(word));
        expect(good.length, `${id}: ${done.join(', ')}`).toBe(1);
      }
    }
  }

  /** How the incidents ended, counted: for a run that prints what it has seen. */
  tally(): string {
    const counts = new Map<string, number>();
    for (const done of this.#ledger.incidents(VM).values()) {
      const key = done.join(', ');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const parts = [...counts].map(([key, count]) => `${count} × ${key}`);
    return `${parts.join('; ')}; ${this.#reporter.acked.length} events acknowledged beside it`;
  }

  #answered(): boolean {
    const incidents = [...this.#ledger.incidents(VM).values()];
    const ended = incidents.filter((done) => done.some((word) => word.startsWith('restart ')));
    return ended.length === this.#panics && incidents.length === this.#panics;
  }

  #boots(): { readonly bootBytes: number; readonly resets: number } {
    const resets = this.#monitor.events().filter((name) => name === 'RESET').length;
    return { bootBytes: this.#guest.boots(), resets };
  }

  #leave(): void {
    this.#ledger.leave();
    this.#reporter.to(null);
    this.#client?.close();
    this.#client = null;
  }

  #log(): string {
    return `${this.#ledger.story(VM).join('\n')}\n${tailOf(lifeLog(this.#config))}`;
  }

  async #explained<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}\n${this.#log()}`);
    }
  }
}

const appliedDumps = (records: readonly Record[]) =>
  records.flatMap(({ body }) =>
    body?.$case === 'step' && body.value.verb === 'dump' && body.value.state === StepState.APPLIED
      ? [body.value]
      : [],
  );
