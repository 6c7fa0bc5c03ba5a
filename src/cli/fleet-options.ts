import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { RedisAddress } from '../fleet/connection.js';
import type { FleetOptions } from '../fleet/open-fleet.js';
import { Fault, type Violation } from '../lib/fault.js';
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

/** Flags over environment. Throws FLEET_BAD_INPUT with everything that is wrong. */
export const fleetOptions = (flags: FleetFlags, { env }: Pick<Io, 'env'>): FleetOptions => {
  const violations: Violation[] = [];
  const say = ({ name, environment }: Flag): string | undefined => {
    const value = flags[name.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase())];
    return typeof value === 'string' ? value : env[environment] || undefined;
  };
  const file = (which: Flag): string | undefined => {
    const path = say(which);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      const problem = (error as NodeJS.ErrnoException).code ?? String(error);
      const expected = `a file that can be read (${problem})`;
      violations.push({ field: `--${which.name}`, value: path, expected });
      return undefined;
    }
  };
  const addresses = (which: Flag): RedisAddress[] | undefined =>
    say(which)
      ?.split(',')
      .flatMap((text) => {
        const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text.trim());
        const host = match?.[1] ?? match?.[2];
        if (host !== undefined) return [{ host, port: Number(match?.[3]) }];
        violations.push({ field: `--${which.name}`, value: text, expected: 'HOST:PORT' });
        return [];
      });

  const {
    fleet = 'default',
    url,
    ...target
  } = {
    fleet: say(FLAGS.fleet),
    url: say(FLAGS.url),
    sentinels: addresses(FLAGS.sentinels),
    cluster: addresses(FLAGS.cluster),
    username: say(FLAGS.username),
    password: file(FLAGS.passwordFile)?.trimEnd(),
    ca: file(FLAGS.ca),
    cert: file(FLAGS.cert),
    key: file(FLAGS.key),
  };
  if (!/^[a-zA-Z0-9._-]{1,64}$/.test(fleet)) {
    const expected = '1 to 64 characters of a-z A-Z 0-9 . _ -';
    violations.push({ field: '--fleet', value: fleet, expected });
  }
  if (url !== undefined && !url.startsWith('/') && !/^rediss?:\/\/[^\s]+$/.test(url)) {
    const expected = 'redis://HOST:PORT, rediss://HOST:PORT or the absolute path of a socket';
    violations.push({ field: '--redis', value: url.replace(/\/\/.*@/, '//...@'), expected });
  }
  if (violations.length > 0) {
    throw new Fault('INVALID_ARGUMENT', 'FLEET_BAD_INPUT', 'The fleet can not be reached so.', {
      violations,
    });
  }
  const { sentinels, cluster, username, password, ca, cert, key } = target;
  const hasTls = ca !== undefined || cert !== undefined || key !== undefined;
  return {
    fleet,
    ...(url === undefined ? {} : { url }),
    ...(sentinels === undefined
      ? {}
      : { sentinel: { name: say(FLAGS.master) ?? 'mymaster', addresses: sentinels } }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(hasTls
      ? {
          tls: {
            ...(ca === undefined ? {} : { ca }),
            ...(cert === undefined ? {} : { cert }),
            ...(key === undefined ? {} : { key }),
          },
        }
      : {}),
  };
};
