import { describe, expect, it } from 'vitest';
import { type FleetOptions, openFleet } from '../../src/fleet/open-fleet.js';
import { redisTarget } from '../../src/fleet/redis-target.js';

describe('where the fleet is', () => {
  it.each([
    [{}, { at: { kind: 'single', host: '127.0.0.1', port: 6379 }, tls: null }],
    [{ url: 'redis://r.example' }, { at: { kind: 'single', host: 'r.example', port: 6379 } }],
    [{ url: 'rediss://[::1]:7/' }, { at: { kind: 'single', host: '::1', port: 7 }, tls: {} }],
    [{ url: 'redis://me:a%20b@r:1' }, { username: 'me', password: 'a b' }],
    [
      { url: 'redis://me:x@r:1', username: 'you' },
      { username: 'you', password: 'x' },
    ],
    [{ url: '/run/redis.sock' }, { at: { kind: 'socket', path: '/run/redis.sock' }, tls: null }],
    [{ tls: { ca: '/ca' } }, { tls: { ca: '/ca', cert: null, key: null, serverName: null } }],
    [{ cluster: [{ host: 'r', port: 1 }] }, { at: { kind: 'cluster' } }],
    [
      { sentinel: { name: 'm', addresses: [{ host: 's', port: 1 }] } },
      { at: { kind: 'sentinel', name: 'm' } },
    ],
  ])('is read from %j', (options, target) => {
    expect(redisTarget(options)).toMatchObject(target);
  });

  it.each([
    ['http://me:secret@r', 'http://...@r'],
    ['redis://', 'redis://'],
    ['redis://r/3', 'redis://r/3'],
    ['nonsense', 'nonsense'],
    ['redis://a%zz:secret@r', 'redis://...@r'],
  ])('is refused when the URL is %s', (url, value) => {
    expect(() => redisTarget({ url })).toThrow(
      expect.objectContaining({
        reason: 'FLEET_BAD_INPUT',
        detail: { violations: [{ field: 'url', value, expected: expect.any(String) }] },
      }),
    );
  });

  it('is said once', () => {
    expect(() => redisTarget({ url: '/run/redis.sock', cluster: [] })).toThrow(/expected one/);
  });

  it('has an address, and a name that can stand in a key', () => {
    const refused = (options: FleetOptions) =>
      expect(() => openFleet(options)).toThrow(
        expect.objectContaining({ reason: 'FLEET_BAD_INPUT' }),
      );
    refused({ cluster: [] });
    refused({ sentinel: { name: 'm', addresses: [] } });
    refused({ fleet: 'a}b' });
    refused({ fleet: '' });
  });

  it('is no Cluster for who waits for replicas', () => {
    const fleet = openFleet({ cluster: [{ host: 'r', port: 1 }], fleet: 'f' });
    expect(() => fleet.consume({ group: 'g', consumer: 'c', minReplicas: 1 })).toThrow(
      expect.objectContaining({ reason: 'FLEET_BAD_INPUT' }),
    );
  });
});
