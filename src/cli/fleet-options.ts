import type { Command } from 'commander';
import type { RedisAddress } from '../config/config.js';
import { badInput } from '../fleet/bad-input.js';
import type { FleetOptions } from '../fleet/open-fleet.js';
import type { Violation } from '../lib/fault.js';
import type { Io } from './io.js';

/** What commander makes of the flags below. */
export type FleetFlags = Readonly<Record<string, unknown>>;

interface Flag {
  readonly name: string;
  readonly environment: string;
  readonly placeholder: string;
  readonly description: string;
}

const flag = (
  name: string,
  environment: string,
  placeholder: string,
  description: string,
): Flag => ({
  name,
  environment,
  placeholder,
  description: `${description} [env ${environment}]`,
});

const FLAGS = {
  fleet: flag('fleet', 'VMWARDEN_BUS_FLEET', 'NAME', 'the fleet (default: default)'),
  url: flag(
    'redis',
    'VMWARDEN_BUS_URL',
    'URL',
    'redis://HOST:PORT, rediss://HOST:PORT or a socket (default: redis://127.0.0.1:6379)',
  ),
  sentinels: flag(
    'redis-sentinels',
    'VMWARDEN_BUS_SENTINELS',
    'HOST:PORT,...',
    'Sentinels, in place of a URL',
  ),
  master: flag(
    'redis-master',
    'VMWARDEN_BUS_MASTER',
    'NAME',
    "the Sentinels' name of the master (default: mymaster)",
  ),
  cluster: flag(
    'redis-cluster',
    'VMWARDEN_BUS_CLUSTER',
    'HOST:PORT,...',
    'nodes of a Cluster, in place of a URL',
  ),
  username: flag('redis-username', 'VMWARDEN_BUS_USERNAME', 'NAME', 'ACL user'),
  passwordFile: flag('redis-password-file', 'VMWARDEN_BUS_PASSWORD_FILE', 'FILE', 'its password'),
  ca: flag('redis-ca', 'VMWARDEN_BUS_TLS_CA', 'FILE', 'PEM of the CA to trust; turns TLS on'),
  cert: flag('redis-cert', 'VMWARDEN_BUS_TLS_CERT', 'FILE', "PEM of the client's certificate"),
  key: flag('redis-key', 'VMWARDEN_BUS_TLS_KEY', 'FILE', 'PEM of its key'),
} as const;

export const addFleetOptions = (command: Command): Command => {
  for (const { name, placeholder, description } of Object.values(FLAGS)) {
    command.option(`--${name} <${placeholder}>`, description);
  }
  return command;
};

/** Flags over environment. Throws FLEET_BAD_INPUT with every flag that is wrong. */
export const fleetOptions = (flags: FleetFlags, { env }: Pick<Io, 'env'>): FleetOptions => {
  const violations: Violation[] = [];
  const say = ({ name, environment }: Flag): string | undefined => {
    const value = flags[name.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase())];
    return typeof value === 'string' ? value : env[environment] || undefined;
  };
  const addresses = (which: Flag): RedisAddress[] | undefined =>
    say(which)
      ?.split(',')
      .flatMap((text) => {
        const address = addressOf(text.trim());
        if (address !== null) return [address];
        violations.push({ field: `--${which.name}`, value: text, expected: 'HOST:PORT' });
        return [];
      });
  const fleet = say(FLAGS.fleet) ?? 'default';
  if (!/^[a-zA-Z0-9._-]{1,64}$/.test(fleet)) {
    const expected = '1 to 64 characters of a-z A-Z 0-9 . _ -';
    violations.push({ field: '--fleet', value: fleet, expected });
  }
  const sentinels = addresses(FLAGS.sentinels);
  const cluster = addresses(FLAGS.cluster);
  if (violations.length > 0) throw badInput(violations);
  const tls = without({ ca: say(FLAGS.ca), cert: say(FLAGS.cert), key: say(FLAGS.key) });
  return {
    fleet,
    ...without({
      url: say(FLAGS.url),
      sentinel: sentinels && { name: say(FLAGS.master) ?? 'mymaster', addresses: sentinels },
      cluster,
      username: say(FLAGS.username),
      passwordFile: say(FLAGS.passwordFile),
      tls: Object.keys(tls).length > 0 ? tls : undefined,
    }),
  };
};

/** null: not `HOST:PORT`; an IPv6 address stands in brackets. */
const addressOf = (text: string): RedisAddress | null => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  return host === undefined ? null : { host, port: Number(match?.[3]) };
};

type Present<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> };

/** What is undefined is left out. */
const without = <T extends object>(values: T): Present<T> =>
  Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Present<T>;
