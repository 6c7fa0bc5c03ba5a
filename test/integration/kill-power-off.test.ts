import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { EventType } from '../../src/gen/vmwarden/v1/system_event.js';
import { killRounds } from '../support/kill-random.js';
import { heldGuest, lifeDir, VM } from '../support/kill-rig.js';
import { KILLED, STOPPED, startLife, within } from '../support/life.js';
import { connectLife } from '../support/life-client.js';
import { lifeConfig, policyOf, qemuVm } from '../support/life-config.js';
import { LifeLedger, readClosedJournal, unendedSteps } from '../support/life-ledger.js';
import { describePart } from '../support/parts.js';

const { atPoint } = killRounds();

/** A guest asks for power-off, the life is killed at the point; resolves with what the next one did about it. */
const round = async (point: string): Promise<readonly string[]> => {
  const dir = await lifeDir();
  const { guest, monitor } = await heldGuest(dir, ['-no-shutdown']);
  const vms = [qemuVm(VM, guest.qmpSocket)];
  const config = lifeConfig({ dir, policy: policyOf('[restart]'), vms });
  const first = await startLife(config);
  const before = connectLife(first.address);
  onTestFinished(before.close);
  await before.settled(VM, 'running');
  await first.life.arm(point);
  guest.send('powerOff');
  expect(await first.life.end()).toMatchObject(KILLED);
  before.close();

  const { life, address } = await startLife(config);
  const client = connectLife(address);
  onTestFinished(client.close);
  const ledger = new LifeLedger();
  ledger.follow(client);
  const done = () => [...ledger.incidents(VM).values()];
  await ledger.until('the power-off is answered', () => done().some((words) => words.length > 0));
  expect(await within('QEMU ends', guest.exited, 5_000)).toEqual({ code: 0, signal: null });
  expect(guest.boots()).toBe(1);
  // That its process has gone belongs to the same incident, whether it was told before its end or after.
  await ledger.until('the exit is told', () =>
    ledger.bodies(VM, 'event').some(({ event }) => event?.type === EventType.VMM_EXITED),
  );
  expect(await life.stop()).toMatchObject(STOPPED);
  const { records, problems } = await readClosedJournal(join(config.dataDir, 'journal'));
  expect(problems).toEqual([]);
  expect(unendedSteps(records)).toEqual([]);
  expect(monitor.events().filter((name) => name === 'RESET')).toEqual([]);
  expect(done()).toHaveLength(1);
  return done()[0] ?? [];
};

const APPLIED = ['powerOff applied'];
const ALREADY = ['powerOff already'];
const GOOD = [APPLIED, ALREADY];

describePart('qemu-system-x86_64', 'a life killed while it powers a guest off', () => {
  it.each(['intent:before', 'intent:after', 'quit:written', 'outcome:before'])(
    `is followed by one that ends it, and starts nothing: killed ${atPoint} times at %s`,
    async (point) => {
      for (let n = 0; n < atPoint; n += 1) {
        const done = await round(point);
        // QEMU drops a command that it hasn't read when its client dies, so what was written may not count.
        if (point === 'quit:written') expect(GOOD).toContainEqual(done);
        else expect(done).toEqual(point === 'outcome:before' ? ALREADY : APPLIED);
      }
    },
    30_000 + atPoint * 5_000,
  );
});
