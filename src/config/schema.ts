import * as z from 'zod';
import { parseDuration } from '../lib/duration.js';
import { parsePathTemplate } from '../lib/path-template.js';
import { parseSize } from '../lib/size.js';
import type { RedisAddress } from './config.js';
import { parseRedisAddress, parseRedisUrl, REDIS_URL_EXPECTED } from './redis-place.js';
import {
  LABEL_VALUE,
  LABEL_VALUE_EXPECTED,
  VM_ID,
  VM_ID_EXPECTED,
  VM_UID,
  VM_UID_EXPECTED,
} from './vm-id.js';

/**
 * The configuration as an operator writes it. Every key may be left out, but a VM's `id` and `driver`.
 * Messages are what was expected, to end a sentence that begins so.
 */

const duration = (minMs: number, maxMs: number) =>
  z.string().transform((text, context) => {
    const parsed = parseDuration(text, { minMs, maxMs });
    if (parsed.ok) return parsed.ms;
    context.addIssue({ code: 'custom', message: parsed.expected });
    return z.NEVER;
  });

const size = (minBytes: number, maxBytes: number) =>
  z.string().transform((text, context) => {
    const parsed = parseSize(text, { minBytes, maxBytes });
    if (parsed.ok) return parsed.bytes;
    context.addIssue({ code: 'custom', message: parsed.expected });
    return z.NEVER;
  });

const matching = (pattern: RegExp, expected: string) =>
  z.string().refine((text) => pattern.test(text), { error: expected });

const path = matching(/^[^\0]{1,4095}$/, 'a path');
const second = 1000;
const day = 86_400_000;
const MiB = 1024 ** 2;
const TiB = 1024 ** 4;

const whole = (min: number, max: number) =>
  z.number().refine((value) => Number.isInteger(value) && value >= min && value <= max, {
    error: `a whole number from ${min} to ${max}`,
  });

/** Also as text, as environment and flags give it. */
const port = z.unknown().transform((value, context) => {
  const number = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 65_535) {
    return number;
  }
  context.addIssue({ code: 'custom', message: 'a port from 1 to 65535' });
  return z.NEVER;
});

const redisUrl = z.string().transform((text, context) => {
  const parsed = parseRedisUrl(text);
  if (parsed !== null) return parsed;
  context.addIssue({ code: 'custom', message: REDIS_URL_EXPECTED });
  return z.NEVER;
});

/** A list, or with commas between, as environment and flags give it. */
const redisNodes = z.unknown().transform((value, context): RedisAddress[] => {
  const wrong = (at: number | null): void => {
    const inList = at !== null && Array.isArray(value);
    const message = inList ? 'HOST:PORT' : 'a list of HOST:PORT';
    context.addIssue({ code: 'custom', message, path: inList ? [at] : [] });
  };
  const nodes: unknown[] =
    typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [];
  if (nodes.length === 0) wrong(null);
  return nodes.flatMap((node, at) => {
    const parsed = typeof node === 'string' ? parseRedisAddress(node.trim()) : null;
    if (parsed === null) wrong(at);
    return parsed ?? [];
  });
});

const bus = z.strictObject({
  kind: z.enum(['local', 'redis']).optional(),
  url: redisUrl.optional(),
  sentinel: z
    .strictObject({
      name: matching(/^[\w.-]{1,128}$/, '1 to 128 characters of a-z A-Z 0-9 _ . -').optional(),
      nodes: redisNodes,
      username: matching(/^[!-~]{1,128}$/, '1 to 128 printable ASCII characters').optional(),
      passwordFile: path.optional(),
    })
    .optional(),
  cluster: z.strictObject({ nodes: redisNodes }).optional(),
  username: matching(/^[!-~]{1,128}$/, '1 to 128 printable ASCII characters').optional(),
  passwordFile: path.optional(),
  tls: z
    .strictObject({
      ca: path.optional(),
      cert: path.optional(),
      key: path.optional(),
      serverName: matching(/^[\w.:-]{1,253}$/, 'a host name').optional(),
    })
    .optional(),
  fleet: matching(/^[a-zA-Z0-9._-]{1,64}$/, '1 to 64 characters of a-z A-Z 0-9 . _ -').optional(),
  partitions: whole(1, 4096).optional(),
  minReplicas: whole(0, 16).optional(),
  trim: z
    .strictObject({
      age: duration(60 * second, 3650 * day).optional(),
      length: whole(1_000, 1_000_000_000).optional(),
    })
    .optional(),
});

const driver = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('qemu'), socket: path }),
  z.strictObject({ kind: z.literal('agent') }),
  z.strictObject({ kind: z.literal('observe') }),
]);

const release = z.strictObject({
  panic: z.enum(['pause', 'shutdown', 'exit-failure', 'none']).optional(),
  shutdown: z.enum(['poweroff', 'pause']).optional(),
  watchdog: z
    .enum(['reset', 'shutdown', 'poweroff', 'pause', 'debug', 'none', 'inject-nmi'])
    .optional(),
  reboot: z.enum(['reset', 'shutdown']).optional(),
});

const labels = z.record(
  matching(/^[\w./-]{1,63}$/, 'label names of 1 to 63 characters of a-z A-Z 0-9 _ . / -'),
  matching(LABEL_VALUE, LABEL_VALUE_EXPECTED),
);

const vm = z.strictObject({
  id: matching(VM_ID, VM_ID_EXPECTED),
  uid: matching(VM_UID, VM_UID_EXPECTED).optional(),
  labels: labels.optional(),
  driver,
  takeOver: z.boolean().optional(),
  release: release.optional(),
});

const pathTemplate = z.string().transform((text, context) => {
  const parsed = parsePathTemplate(text);
  if (parsed.ok) return parsed.template;
  context.addIssue({ code: 'custom', message: parsed.expected });
  return z.NEVER;
});

const discover = z.strictObject({
  driver: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('qemu'), socket: pathTemplate }),
  ]),
  id: matching(/^[ -~]{1,253}$/, '1 to 253 printable ASCII characters').optional(),
  uid: matching(VM_UID, VM_UID_EXPECTED).optional(),
  labels: labels.optional(),
  takeOver: z.boolean().optional(),
  release: release.optional(),
  owners: z
    .array(whole(0, 2 ** 32 - 2))
    .max(64)
    .optional(),
  retireAfter: duration(second, 30 * day).optional(),
});

export const configSchema = z.strictObject({
  host: matching(/^[a-zA-Z0-9._-]{1,253}$/, VM_ID_EXPECTED).optional(),
  dataDir: path.optional(),
  listen: z.strictObject({ socket: path.optional() }).optional(),
  policy: z.strictObject({ file: path.optional() }).optional(),
  log: z
    .strictObject({
      level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).optional(),
      format: z.enum(['auto', 'json', 'pretty']).optional(),
    })
    .optional(),
  journal: z
    .strictObject({
      retention: z
        .strictObject({
          age: duration(60 * second, 3650 * day).optional(),
          size: size(MiB, 16 * TiB).optional(),
        })
        .optional(),
      hardLimit: size(MiB, 16 * TiB).optional(),
      reserve: size(0, TiB).optional(),
    })
    .optional(),
  bus: bus.optional(),
  dumps: z.strictObject({ dir: path.optional() }).optional(),
  metrics: z
    .strictObject({
      host: matching(/^[a-zA-Z0-9.:%_-]{1,253}$/, 'an address or a host name').optional(),
      port: port.optional(),
      vmSeries: whole(0, 10_000).optional(),
    })
    .optional(),
  vms: z.array(vm).max(4096).optional(),
  discover: z.array(discover).max(64).optional(),
  stopTimeout: duration(second, 600 * second).optional(),
});

export type WrittenConfig = z.output<typeof configSchema>;
