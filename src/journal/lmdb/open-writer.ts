import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Bounds, type Claimant, claim } from './claim.js';
import { checkDataFile, type DataFileState, LOCK_FILE } from './data-file.js';
import { noSpace } from './errors.js';
import { checkFormat } from './format.js';
import { Headroom, SMALL_PAGES } from './headroom.js';
import { inUse, isOwnerAlive, removeSocket } from './owner.js';
import { freeBytes, getMeta, openStore, type Store } from './store.js';
import { Writer, type WriterOptions } from './writer.js';

export interface OpenWriterOptions extends WriterOptions {
  /** Name of our own socket in the directory. */
  readonly socket: string;
  readonly pid: number;
}

export interface OpenedWriter extends Bounds {
  readonly store: Store;
  readonly writer: Writer;
}

const FOUNDING_BYTES = 1024 * 1024;
/** Each round means that yet another owner came and died meanwhile. */
const MAX_TAKE_OVERS = 5;

/** Opens or founds the database and claims it; a dead owner is replaced, a living one is JOURNAL_IN_USE. */
export async function openWriter(options: OpenWriterOptions): Promise<OpenedWriter> {
  const { dir, socket, pid } = options;
  const state = checkDataFile(dir, true);
  checkSpace(dir, state);
  const before = state === 'present' ? new Headroom(dir) : null;
  let headroom = before;
  let store: Store | null = null;
  try {
    if (before && !(await before.make(SMALL_PAGES))) throw noSpace(dir);
    store = openStore({
      dir,
      readOnly: false,
      check: (meta) => {
        const format = getMeta(meta, 'format');
        if (format !== undefined) checkFormat(dir, format);
      },
    });
    headroom ??= new Headroom(dir);
    const newId = randomBytes(16).toString('hex');
    const bounds = await claimDirectory(store, headroom, { dir, socket, pid, newId });
    return { ...bounds, store, writer: new Writer(store, options, headroom, bounds) };
  } catch (error) {
    headroom?.close();
    await store?.env.close();
    throw error;
  }
}

async function claimDirectory(store: Store, headroom: Headroom, us: Claimant): Promise<Bounds> {
  let dead: string | null = null;
  for (let round = 0; ; round++) {
    if (!(await headroom.make(SMALL_PAGES))) throw noSpace(us.dir);
    const claimed = claim(store, us, dead);
    if (claimed.kind === 'claimed') {
      if (dead !== null) removeSocket(us.dir, dead);
      return claimed;
    }
    const { owner } = claimed;
    if (round === MAX_TAKE_OVERS || (await isOwnerAlive(us.dir, owner))) throw inUse(us.dir, owner);
    dead = owner.socket;
  }
}

/**
 * LMDB founds its files itself, and maps its lock file for writing: on a full disk that ends the process.
 * So both have to be there, or space for them.
 */
function checkSpace(dir: string, data: DataFileState): void {
  const lock = statSync(join(dir, LOCK_FILE), { throwIfNoEntry: false });
  const founded = data === 'present' && lock !== undefined && lock.size > 0;
  if (!founded && freeBytes(dir) < FOUNDING_BYTES) throw noSpace(dir);
}
