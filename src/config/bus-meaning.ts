import type { BusConfig, RedisPlace } from './config.js';
import { type Finding, finding } from './problem.js';
import type { WrittenConfig } from './schema.js';

type Written = NonNullable<WrittenConfig['bus']>;

const DAY = 86_400_000;

/** A place without a kind means Redis. */
const kindOf = ({ kind, url, sentinel, cluster }: Written): 'local' | 'redis' =>
  kind ?? ((url ?? sentinel ?? cluster) === undefined ? 'local' : 'redis');

/** Defaults filled in; null: `busFindings` says why there is none. `at` gives the absolute path of what stands at a place. */
export const busOf = (
  written: Written,
  at: (path: string, text: string) => string,
): BusConfig | null => {
  if (kindOf(written) === 'local') return { kind: 'local' };
  const file = (path: string, text: string | undefined): string | null =>
    text === undefined ? null : at(path, text);
  const place = placeOf(written, file);
  if (place === null) return null;
  const { tls, trim, url } = written;
  return {
    kind: 'redis',
    fleet: written.fleet ?? 'default',
    at: place,
    tls:
      tls === undefined && url?.secure !== true
        ? null
        : {
            ca: file('bus.tls.ca', tls?.ca),
            cert: file('bus.tls.cert', tls?.cert),
            key: file('bus.tls.key', tls?.key),
            serverName: tls?.serverName ?? null,
          },
    username: written.username ?? null,
    passwordFile: file('bus.passwordFile', written.passwordFile),
    partitions: written.partitions ?? 64,
    minReplicas: written.minReplicas ?? 0,
    trim: { maxAgeMs: trim?.age ?? 7 * DAY, maxLength: trim?.length ?? 100_000 },
  };
};

const placeOf = (
  { url, sentinel, cluster }: Written,
  file: (path: string, text: string | undefined) => string | null,
): RedisPlace | null => {
  if (sentinel !== undefined) {
    return {
      kind: 'sentinel',
      name: sentinel.name ?? 'mymaster',
      addresses: sentinel.nodes,
      username: sentinel.username ?? null,
      passwordFile: file('bus.sentinel.passwordFile', sentinel.passwordFile),
    };
  }
  if (cluster !== undefined) return { kind: 'cluster', addresses: cluster.nodes };
  return url?.at ?? null;
};

/** What no single value shows. */
export const busFindings = (written: Written): Finding[] => {
  const { kind, ...rest } = written;
  if (kindOf(written) === 'local') {
    return Object.keys(rest).map((key) => ({
      ...finding(['bus', key], 'means nothing with bus.kind local', 'set bus.kind to redis'),
      part: 'key',
    }));
  }
  const places = (['url', 'sentinel', 'cluster'] as const).filter(
    (key) => written[key] !== undefined,
  );
  const found: Finding[] = [];
  if (places.length === 0) {
    found.push(finding(['bus'], 'bus.kind redis wants one of url, sentinel, cluster'));
  }
  for (const extra of places.slice(1)) {
    found.push(finding(['bus', extra], `bus.${places[0]} is set already; expected one of them`));
  }
  const { cert, key } = written.tls ?? {};
  if (cert !== undefined && key === undefined) {
    found.push(finding(['bus', 'tls', 'cert'], 'expected bus.tls.key beside it'));
  }
  if (key !== undefined && cert === undefined) {
    found.push(finding(['bus', 'tls', 'key'], 'expected bus.tls.cert beside it'));
  }
  const { sentinel } = written;
  if (sentinel?.username !== undefined && sentinel.passwordFile === undefined) {
    const beside = 'expected bus.sentinel.passwordFile beside it';
    found.push(finding(['bus', 'sentinel', 'username'], beside));
  }
  if (written.username !== undefined && written.passwordFile === undefined) {
    found.push(finding(['bus', 'username'], 'expected bus.passwordFile beside it'));
  }
  return found;
};
