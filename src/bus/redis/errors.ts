import { Fault, type FaultCode, isFault } from '../../lib/fault.js';

interface Meaning {
  readonly code: FaultCode;
  readonly reason: string;
  /** What it means to the operator; Redis' own words follow. */
  readonly text: string;
}

const denied = (text: string): Meaning => ({
  code: 'FAILED_PRECONDITION',
  reason: 'BUS_DENIED',
  text,
});
const misused = (text: string): Meaning => ({
  code: 'FAILED_PRECONDITION',
  reason: 'BUS_MISUSED',
  text,
});
const passes = (text: string): Meaning => ({
  code: 'UNAVAILABLE',
  reason: 'BUS_UNAVAILABLE',
  text,
});

const LACKS_RIGHT = denied("the bus's user lacks a permission in Redis");

/** By the first word of what Redis says. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  NOAUTH: denied('Redis wants a password: set bus.passwordFile'),
  WRONGPASS: denied(
    'Redis refuses the user or its password: see bus.username and bus.passwordFile',
  ),
  NOPERM: LACKS_RIGHT,
  DENIED: denied('Redis is in protected mode: it wants a password, or an address to listen on'),
  OOM: {
    code: 'RESOURCE_EXHAUSTED',
    reason: 'BUS_FULL',
    text: 'Redis is at its maxmemory: raise it, or trim more by bus.trim',
  },
  WRONGTYPE: misused("a key of the fleet holds something that isn't vmwarden's"),
  CROSSSLOT: misused('Redis holds the keys of one partition in different slots'),
  MOVED: misused('this Redis is a node of a cluster: set bus.cluster in place of bus.url'),
  READONLY: passes('this Redis is a replica'),
  LOADING: passes('Redis is loading its data'),
  MISCONF: passes("Redis can't write to its disk"),
  MASTERDOWN: passes('this Redis is a replica without its master'),
  CLUSTERDOWN: passes('the Redis cluster is down'),
  TRYAGAIN: passes('the Redis cluster is moving slots'),
  NOREPLICAS: passes('Redis has too few good replicas'),
  BUSY: passes('Redis is busy with a script'),
};

export const unavailable = (text: string, cause?: unknown): Fault =>
  new Fault('UNAVAILABLE', 'BUS_UNAVAILABLE', text, { cause });

/** What ioredis threw or a script answered, as a Fault; `where` is told to the operator. */
export const toFault = (error: unknown, where: string): Fault => {
  if (isFault(error)) return error;
  const inner = (error as { lastNodeError?: unknown } | null)?.lastNodeError;
  if (inner instanceof Error) return toFault(inner, where);
  const said = (error instanceof Error ? error.message : String(error)).replace(/^-/, '');
  const { code, reason, text } = meaningOf(said, (error as NodeJS.ErrnoException | null)?.code);
  return new Fault(code, reason, `${where}: ${text} (${said.slice(0, 300)})`, { cause: error });
};

const meaningOf = (said: string, systemCode: string | undefined): Meaning => {
  // Before Redis 7 an error inside a script is wrapped: `ERR Error running script ... -READONLY ...`.
  const word = /^(?:ERR .*?-)?([A-Z]{2,})\b/.exec(said)?.[1] ?? '';
  if (/^All sentinels are unreachable.*\b(?:NOAUTH|WRONGPASS|NOPERM)\b/s.test(said)) {
    return denied('The Sentinels refuse the login: see bus.sentinel.passwordFile');
  }
  const known = MEANINGS[word];
  if (known !== undefined) return known;
  if (/CERT|TLS|SSL|UNABLE_TO_/.test(systemCode ?? '')) return denied('TLS failed: see bus.tls');
  if (/cluster support disabled/i.test(said)) {
    return misused('this Redis is no cluster: set bus.url in place of bus.cluster');
  }
  // Redis 7.0 says so inside a script.
  if (/^ERR The user executing the script can't/.test(said)) return LACKS_RIGHT;
  if (/\bAUTH\b/.test(said)) return denied('Redis refuses the login');
  return passes("Redis can't be used");
};
