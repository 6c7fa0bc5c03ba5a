import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { partitionOf, recordsKey } from '../../src/bus/redis/keys.js';
import { fleetGaps } from '../../src/cli/fleet-gaps.js';
import { fleetHosts } from '../../src/cli/fleet-hosts.js';
import { fleetTail } from '../../src/cli/fleet-tail.js';
import { FAILED, GOOD } from '../../src/cli/io.js';
import { FLEET, JOURNAL, PARTITIONS } from '../fleet/publisher.js';
import { useFleetRig } from '../fleet/rig.js';
import { fakeIo } from '../support/fake-io.js';
import { describePart } from '../support/parts.js';

const ALL = { from: 'beginning', untilNewest: true } as const;

describePart('redis-server', 'vmwarden fleet', () => {
  const rig = useFleetRig();

  it('tails the records of all hosts as lines of fixed columns', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    await rig.publisher.publish('alpha', 5, 5);
    await rig.publisher.lose('alpha', 6, 7, 'full');
    const io = fakeIo();
    expect(await fleetTail(io, rig.fleet(), ALL)).toBe(GOOD);
    const lines = io.out().trimEnd().split('\n');
    expect(lines[0]).toMatch(
      /^\d{4}-\S+Z {2}alpha {20}1 {2}1 {17}operator {2}hold by a test: to be read$/,
    );
    expect(lines[2]).toBe('alpha: records 3 to 4 are missing');
    expect(lines[4]).toBe('alpha: records 6 to 7 were lost: full');
    expect(lines).toHaveLength(6);
  });

  it('tails what the filters leave, as JSON', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    await rig.publisher.publish('beta', 1, 2);
    const io = fakeIo();
    const filter = { host: ['beta'], vm: ['2'], kind: ['operator'] };
    await fleetTail(io, rig.fleet(), { ...ALL, ...filter, json: true });
    expect(io.json()).toMatchObject([
      { host: 'beta', journalId: JOURNAL, sequence: 2, vmId: '2', kind: 'operator' },
    ]);
  });

  it('lists hosts', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    const io = fakeIo();
    expect(await fleetHosts(io, rig.fleet(), {})).toBe(GOOD);
    expect(io.out()).toMatch(/^HOST +STATE .* GAPS .*\nalpha +silent +- +2 +\d{4}-/);
    await rig.publisher.publish('alpha', 9, 9);
    const holed = fakeIo();
    await fleetHosts(holed, rig.fleet(), {});
    expect(holed.out()).toMatch(/\b6 missing\b/);
    const json = fakeIo();
    await fleetHosts(json, rig.fleet(), { json: true });
    expect(json.json()).toMatchObject([
      { host: 'alpha', journalId: JOURNAL, sequence: 9, heartbeatAt: null, gaps: [{ first: 3 }] },
    ]);
  });

  it('names a host of which nothing is left', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    await rig.redis.client.del(recordsKey(FLEET, partitionOf('alpha', PARTITIONS)));
    const io = fakeIo();
    expect(await fleetGaps(io, rig.fleet(), {})).toBe(GOOD);
    expect(io.out()).toBe('alpha  whole  nothing of what it published is left\n');
  });

  it('fails for a gap that nothing explains, and not for one that a marker names', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    await rig.publisher.lose('alpha', 3, 4, 'full');
    const good = fakeIo();
    expect(await fleetGaps(good, rig.fleet(), {})).toBe(GOOD);
    expect(good.out()).toBe(
      `alpha  whole  2 records 1 to 4 of journal ${JOURNAL}\n` +
        `  records 3 to 4 of journal ${JOURNAL} are missing, as a loss marker says: full\n`,
    );
    await rig.publisher.publish('alpha', 9, 9);
    const failed = fakeIo();
    expect(await fleetGaps(failed, rig.fleet(), { json: true })).toBe(FAILED);
    expect(failed.json()).toMatchObject([
      { host: 'alpha', whole: false, gaps: [{}, { first: 5 }] },
    ]);
  });
});

describePart('redis-server', 'vmwarden fleet as a program', () => {
  const rig = useFleetRig();
  const program = fileURLToPath(new URL('../../bin/vmwarden.js', import.meta.url));

  const vmwarden = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
      const child = spawn(process.execPath, [program, 'fleet', ...args], {
        env: { PATH: process.env['PATH'], ...env },
        timeout: 20_000,
      });
      let [out, err] = ['', ''];
      child.stdout.on('data', (chunk) => {
        out += chunk;
      });
      child.stderr.on('data', (chunk) => {
        err += chunk;
      });
      child.once('close', (code) => resolve({ code, out, err }));
    });

  it('finds the bus as serve does, by flags or environment', async () => {
    await rig.publisher.publish('alpha', 1, 1);
    const flags = ['--bus-url', rig.redis.socket, '--bus-fleet', FLEET];
    const tail = ['tail', '--from', 'beginning', '--until-newest', '--json', '--host', 'alpha'];
    const { code, out } = await vmwarden([...tail, ...flags]);
    expect(JSON.parse(out)).toMatchObject({ host: 'alpha', sequence: 1 });
    expect(code).toBe(0);
    const env = { VMWARDEN_BUS_URL: rig.redis.socket, VMWARDEN_BUS_FLEET: FLEET };
    expect(await vmwarden(['gaps'], env)).toMatchObject({ code: 0, err: '' });
    expect((await vmwarden(['hosts'], env)).out).toContain('alpha');
  });

  it('says what it lacks, and what is wrong', async () => {
    expect(await vmwarden(['hosts'])).toMatchObject({
      code: 2,
      err: 'vmwarden: no fleet bus is named: set bus.url, or say --bus-url\n',
    });
    const asked = await vmwarden(['hosts', '--json']);
    expect(asked.code).toBe(2);
    expect(JSON.parse(asked.err).error).toMatchObject({ reason: 'WRONG_USE' });
    const url = ['--bus-url', 'http://x'];
    expect(await vmwarden(['hosts', ...url])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--bus-url'),
    });
    const gone = await vmwarden(['hosts', '--bus-url', '/nowhere/redis.sock']);
    expect(gone.code).toBe(1);
    expect(gone.err).toMatch(/^vmwarden: Redis at \/nowhere\/redis.sock: .*\(BUS_UNAVAILABLE\)\n$/);
    const kind = await vmwarden(['tail', '--kind', 'nonsense']);
    expect(kind).toMatchObject({ code: 2, err: expect.stringContaining('Expected one of event') });
  });
});
