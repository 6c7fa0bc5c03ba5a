import { describe, expect, it } from 'vitest';
import { fleetGaps } from '../../src/cli/fleet-gaps.js';
import { fleetHosts } from '../../src/cli/fleet-hosts.js';
import { fleetOptions } from '../../src/cli/fleet-options.js';
import { fleetTail } from '../../src/cli/fleet-tail.js';
import { FAILED, GOOD } from '../../src/cli/io.js';
import { JOURNAL } from '../fleet/publisher.js';
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
    expect(io.out()).toMatch(/^HOST +STATE .*\nalpha +silent +- +2 +\d{4}-/);
    const json = fakeIo();
    await fleetHosts(json, rig.fleet(), { json: true });
    expect(json.json()).toMatchObject([
      { host: 'alpha', journalId: JOURNAL, sequence: 2, heartbeatAt: null, groups: [] },
    ]);
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

describe('the connection of vmwarden fleet', () => {
  it('is on this machine unless told otherwise', () => {
    expect(fleetOptions({}, { env: {} })).toEqual({ fleet: 'default' });
  });

  it('is read from flags, and from the environment where there is no flag', () => {
    const env = {
      VMWARDEN_BUS_FLEET: 'other',
      VMWARDEN_BUS_USERNAME: 'reader',
      VMWARDEN_BUS_TLS_CA: '/etc/ca.pem',
      VMWARDEN_BUS_SENTINELS: '10.0.0.1:26379, [::1]:26380',
    };
    const flags = { fleet: 'prod', redisPasswordFile: '/etc/password', redisMaster: 'm' };
    expect(fleetOptions(flags, { env })).toEqual({
      fleet: 'prod',
      username: 'reader',
      passwordFile: '/etc/password',
      tls: { ca: '/etc/ca.pem' },
      sentinel: {
        name: 'm',
        addresses: [
          { host: '10.0.0.1', port: 26379 },
          { host: '::1', port: 26380 },
        ],
      },
    });
  });

  it('names every flag that is wrong', () => {
    expect(() => fleetOptions({ fleet: 'a b', redisCluster: 'x,y:1' }, { env: {} })).toThrow(
      expect.objectContaining({
        reason: 'FLEET_BAD_INPUT',
        detail: {
          violations: [
            { field: '--fleet', value: 'a b', expected: expect.any(String) },
            { field: '--redis-cluster', value: 'x', expected: 'HOST:PORT' },
          ],
        },
      }),
    );
  });
});
