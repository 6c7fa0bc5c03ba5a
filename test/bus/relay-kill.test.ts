import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openLmdbReader } from '../../src/journal/lmdb/lmdb-reader.js';
import { describePart } from '../support/parts.js';
import { FLEET } from '../support/redis-bus-rig.js';
import { type RedisProcess, startRedisProcess } from '../support/redis-process.js';
import { type RelayProcess, STEPS, startRelayProcess } from '../support/relay-process.js';
import { coveredBy, readJournal } from '../support/relay-rig.js';
import { checkHost, readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

/** Kills at random moments, beside those at each step. */
const ROUNDS = Number(process.env['VMWARDEN_BUS_ROUNDS'] ?? 6);
/** A host whose data directory is gone waits so long for the name of the one that was killed. */
const SILENT_MS = 1_500;

describePart('redis-server', 'a vmwarden that is killed', () => {
  let redis: RedisProcess;
  let dir: string;
  let child: RelayProcess | null = null;
  beforeEach(async () => {
    redis = await startRedisProcess();
    dir = mkdtempSync(join(tmpdir(), 'vmwarden-relay-'));
  });
  afterEach(async () => {
    await child?.kill();
    await redis.end();
    rmSync(dir, { recursive: true, force: true });
  });

  const start = async (killAt: { step: string; after: number } | null): Promise<RelayProcess> => {
    const { port } = redis;
    child = await startRelayProcess({ dir, host: 'h', port, silentMs: SILENT_MS, killAt });
    return child;
  };
  const problems = async (): Promise<string[]> => {
    const reader = await openLmdbReader({ dir });
    const records = await readJournal(reader);
    const { id: journalId } = reader;
    await reader.close();
    const entries = await readStreams(redis.client, FLEET);
    return checkHost(entries, { host: 'h', journalId, records, coveredBy });
  };

  it.each(STEPS)('%s loses and repeats nothing', async (step) => {
    // Only these come more than once in a life.
    for (const after of /publish|beat/.test(step) ? [0, 3] : [0]) {
      const killed = await start({ step, after });
      // Leaving and closing come with its end; at all else it dies by itself.
      await killed.reach(/leave|close/.test(step) ? 200 : Number.POSITIVE_INFINITY);
      expect(await killed.end(), `${after} times passed`).toBeNull();
    }
    const last = await start(null);
    expect(await last.reach(20)).toBe(true);
    expect(await last.end()).toBe(0);
    expect(await problems()).toEqual([]);
  });

  it(
    `at ${ROUNDS} random moments loses and repeats nothing`,
    async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const killed = await start(null);
        await killed.reach(1 + Math.floor(Math.random() * 800));
        await killed.kill();
      }
      const last = await start(null);
      await last.reach(10);
      expect(await last.end()).toBe(0);
      expect(await problems()).toEqual([]);
    },
    30_000 + ROUNDS * 5_000,
  );

  it('and loses its data directory goes on in a new journal, behind all of the old', async () => {
    const before = await start(null);
    await before.reach(200);
    await before.kill();
    rmSync(dir, { recursive: true, force: true });
    const after = await start(null);
    expect(after.journalId).not.toBe(before.journalId);
    await after.reach(200);
    await waitFor('the new journal is published', async () => {
      const entries = await readStreams(redis.client, FLEET);
      return entries.some(({ journalId }) => journalId === after.journalId);
    });
    expect(await after.end()).toBe(0);
    expect(await problems()).toEqual([]);
    const ids = (await readStreams(redis.client, FLEET)).map(({ journalId }) => journalId);
    expect(ids.lastIndexOf(before.journalId)).toBeLessThan(ids.indexOf(after.journalId));
    expect(new Set(ids)).toEqual(new Set([before.journalId, after.journalId]));
  });
});
