import { readFile } from 'node:fs/promises';
import type { RedisBusConfig } from '../../config/config.js';
import { Fault } from '../../lib/fault.js';
import { sha256 } from '../../lib/sha256.js';

/** What files say of how to get in, as they are now. */
export interface Credentials {
  readonly password: string | null;
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
  passwordFile,
  tls,
}: Pick<RedisBusConfig, 'passwordFile' | 'tls'>): Promise<Credentials> => {
  const [password, ca, cert, key] = await Promise.all([
    readText('bus.passwordFile', passwordFile),
    readText('bus.tls.ca', tls?.ca ?? null),
    readText('bus.tls.cert', tls?.cert ?? null),
    readText('bus.tls.key', tls?.key ?? null),
  ]);
  const servername = tls?.serverName ?? null;
  return {
    // Editors and `echo` end a file with a newline; no password ends with one.
    password: password?.replace(/\r?\n$/, '') ?? null,
    tls:
      tls === null
        ? null
        : {
            ...(ca !== null && { ca }),
            ...(cert !== null && { cert }),
            ...(key !== null && { key }),
            ...(servername !== null && { servername }),
          },
    digest: sha256(JSON.stringify([password, ca, cert, key])),
  };
};

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
