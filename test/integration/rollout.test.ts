import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Guest } from '../../src/guest/guest.js';
import { startStandInGuest } from '../../src/guest/stand-in-guest.js';
import { KillReporter } from '../support/kill-reporter.js';
import { lifeDir } from '../support/kill-rig.js';
import { policyOf } from '../support/life-config.js';
import { type Body, readClosedJournal } from '../support/life-ledger.js';
import { Served } from '../support/served.js';
import { waitFor } from '../support/wait-for.js';

const ROLLOUTS = 4;
/** Each life takes as many events before the next one follows it. */
const EVENTS = 40;

/**
 * What `kubectl rollout restart` does to a host, again and again: SIGTERM in the midst of reports, and a new process on
 * the same data. Guests run on meanwhile; one of them panics while nobody is there.
 */
test('a rollout under load loses nothing and restarts nobody', { timeout: 180_000 }, async () => {
  const dir = await lifeDir();
  const start = async (name: string, args: readonly string[]): Promise<Guest> => {
    const program = new URL('../../dist/stand-in.js', import.meta.url);
    const guest = await startStandInGuest({ dir, name, args, program });
    onTestFinished(guest.stop);
    return guest;
  };
  const quiet = await start('quiet', []);
  const panicky = await start('panicky', ['-action', 'panic=pause']);
  const policy = join(dir, 'policy.yaml');
  await writeFile(policy, policyOf('[restart]'));
  const config = {
    host: 'node-1',
    dataDir: join(dir, 'data'),
    log: { level: 'info', format: 'json' },
    policy: { file: policy },
    vms: [
      { id: 'quiet', driver: { kind: 'qemu', socket: quiet.qmpSocket }, takeOver: true },
      { id: 'panicky', driver: { kind: 'qemu', socket: panicky.qmpSocket } },
    ],
  };

  const reporter = new KillReporter();
  const live = async (): Promise<Served> => {
    const served = await Served.start(dir, config);
    onTestFinished(() => served.client.close());
    await served.client.settled('quiet', 'running');
    await served.client.settled('panicky', 'running');
    reporter.to(served.client);
    const wanted = reporter.acked.length + EVENTS;
    await waitFor(`${EVENTS} events`, () => reporter.acked.length >= wanted, 60_000);
    return served;
  };
  for (let rollout = 0; rollout < ROLLOUTS; rollout += 1) {
    const served = await live();
    // Reports are under way: some are acknowledged, some refused, and some break off.
    expect(await served.terminate(), served.log).toEqual({ code: 0, signal: null });
    reporter.to(null);
    expect(served.log).not.toMatch(/"level":"error"/);
    await quiet.ping();
    if (rollout === 1) panicky.send('panic');
    else await panicky.ping();
  }
  const last = await live();
  await reporter.stop();
  await panicky.booted(2);
  expect(await last.terminate(), last.log).toEqual({ code: 0, signal: null });

  const { records, problems } = await readClosedJournal(join(config.dataDir, 'journal'));
  expect(problems).toEqual([]);
  expect(reporter.acked.length).toBeGreaterThanOrEqual((ROLLOUTS + 1) * EVENTS);
  expect(reporter.complaints(records)).toEqual([]);

  const steps = records.flatMap(({ vmId, body }) =>
    body?.$case === 'step' ? [{ vmId, ...(body.value satisfies Body<'step'>) }] : [],
  );
  // The one that panicked in between is answered once, by the life that found it; nobody else was touched.
  expect(new Set(steps.map(({ vmId, verb }) => `${vmId} ${verb}`))).toEqual(
    new Set(['panicky restart']),
  );
  expect([quiet.boots(), panicky.boots()]).toEqual([1, 2]);
});
