import { readFile } from 'node:fs/promises';
import type { RedisBusConfig } from '../../config/config.js';
import { Fault } from '../../lib/fault.js';
import { sha256 } from '../../lib/sha256.js';

/** What files say of how to get in, as they are now. */
export interface Credentials {
  readonly password: string | null;
  /** Of the Sentinels. */
  readonly sentinelPassword: string | null;
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
  } | null;
  /** Another one when any of it changed. */
  readonly digest: string;
}

/** Faults: BUS_DENIED, naming the file that can't be read. */
export const readCredentials = async ({
  at,
  passwordFile,
  tls,
}: Pick<RedisBusConfig, 'at' | 'passwordFile' | 'tls'>): Promise<Credentials> => {
  const sentinelFile = at.kind === 'sentinel' ? (at.passwordFile ?? null) : null;
  const [password, sentinelPassword, ca, cert, key] = await Promise.all([
    readText('bus.passwordFile', passwordFile),
    readText('bus.sentinel.passwordFile', sentinelFile),
    readText('bus.tls.ca', tls?.ca ?? null),
    readText('bus.tls.cert', tls?.cert ?? null),
    readText('bus.tls.key', tls?.key ?? null),
  ]);
  const servername = tls?.serverName ?? null;
  return {
    password: withoutNewline(password),
    sentinelPassword: withoutNewline(sentinelPassword),
    tls:
      tls === null
        ? null
        : {
            ...(ca !== null && { ca }),
            ...(cert !== null && { cert }),
            ...(key !== null && { key }),
            ...(servername !== null && { servername }),
          },
    digest: sha256(JSON.stringify([password, sentinelPassword, ca, cert, key])),
  };
};

/** Editors and `echo` end a file with a newline; no password ends with one. */
const withoutNewline = (text: string | null): string | null => text?.replace(/\r?\n$/, '') ?? null;

const readText = async (field: string, file: string | null): Promise<string | null> => {
  if (file === null) return null;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const text = `${field}: ${file} can't be read: ${code}`;
    throw new Fault('FAILED_PRECONDITION', 'BUS_DENIED', text, { cause: error });
  }
};
