import type { Sequence } from '../journal.js';
import { corrupt } from './errors.js';
import { checkFormat, FORMAT, type Owner } from './format.js';
import { readSequenceKey } from './keys.js';
import { getMeta, type Store } from './store.js';

export type Claim =
  | { readonly kind: 'owned'; readonly owner: Owner }
  | {
      readonly kind: 'claimed';
      readonly id: string;
      readonly oldest: Sequence;
      readonly newest: Sequence;
    };

export interface Claimant {
  readonly dir: string;
  /** Name of the socket by which the owner is known to live. */
  readonly socket: string;
  readonly pid: number;
  /** For a directory without a journal. */
  readonly newId: string;
}

/**
 * Puts us in as owner, unless one other than `over` is written there. An empty journal is founded on the way.
 * All in one transaction: of two that try, one sees the other.
 */
export function claim(store: Store, us: Claimant, over: string | null): Claim {
  const { env, meta } = store;
  return env.transactionSync((): Claim => {
    const owner = getMeta(meta, 'owner');
    if (owner && owner.socket !== over) return { kind: 'owned', owner };
    meta.putSync('owner', { socket: us.socket, pid: us.pid } satisfies Owner);
    if (getMeta(meta, 'format') === undefined) {
      meta.putSync('format', FORMAT);
      meta.putSync('id', us.newId);
      meta.putSync('oldest', 1);
    }
    checkFormat(us.dir, getMeta(meta, 'format'));
    return { kind: 'claimed', ...readBounds(store, us.dir) };
  });
}

export interface Bounds {
  readonly id: string;
  readonly oldest: Sequence;
  readonly newest: Sequence;
}

/** `oldest` is `newest + 1` when there are no records. */
export function readBounds({ meta, records }: Store, dir: string): Bounds {
  const id = getMeta(meta, 'id');
  const oldest = getMeta(meta, 'oldest');
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) throw corrupt(dir, 'it has no id');
  if (!Number.isSafeInteger(oldest) || Number(oldest) < 1) {
    throw corrupt(dir, 'it does not say which record is its oldest');
  }
  const floor = Number(oldest);
  const [last] = records.getKeys({ reverse: true, limit: 1 });
  return { id, oldest: floor, newest: Math.max(last ? readSequenceKey(last) : 0, floor - 1) };
}
