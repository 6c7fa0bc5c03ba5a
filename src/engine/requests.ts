import type { RowWrite } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import type { Core } from './core.js';
import type { Asked, By } from './operators.js';
import { contentDigest, KEY_KEPT_MS, requestRowKey } from './report-key.js';

type First = Omit<Asked, 'repeat'>;

/** Operators' requests by their ids: one that comes again gets the first answer, also while that is under way. */
export class Requests {
  readonly #core: Core;
  readonly #arriving = new Map<string, { digest: string; first: Promise<First> }>();

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * `run` puts `keep`'s rows into its own commit. Faults: REQUEST_CONFLICT (ALREADY_EXISTS), STOPPING (UNAVAILABLE),
   * those of `run`.
   */
  async once(
    asked: readonly (string | number)[],
    by: By,
    run: (keep: (first: First) => readonly RowWrite[]) => Promise<First>,
  ): Promise<Asked> {
    if (this.#core.stopping) {
      throw new Fault('UNAVAILABLE', 'STOPPING', 'vmwarden is stopping', { retryAfterMs: 5000 });
    }
    if (by.requestId === '') return { ...(await run(() => [])), repeat: false };
    const key = requestRowKey(by.requestId);
    const digest = contentDigest([...asked, by.actor, by.reason]);
    const known = this.#known(key);
    if (known !== null) {
      if (known.digest !== digest) throw conflict(by);
      return { ...(await known.first), repeat: true };
    }
    const first = run((answer) => [
      {
        key,
        value: Buffer.from(JSON.stringify({ digest, ...answer })),
        expiresAtMs: this.#core.clock.now().wallMs + KEY_KEPT_MS,
      },
    ]);
    this.#arriving.set(key, { digest, first });
    const forget = (): void => void this.#arriving.delete(key);
    first.then(forget, forget);
    return { ...(await first), repeat: false };
  }

  #known(key: string): { readonly digest: string; readonly first: Promise<First> } | null {
    const arriving = this.#arriving.get(key);
    if (arriving !== undefined) return arriving;
    const stored = this.#core.journal.lookup(key);
    if (stored === undefined) return null;
    const { digest, ...first } = JSON.parse(Buffer.from(stored).toString()) as First & {
      digest: string;
    };
    return { digest, first: Promise.resolve(first) };
  }
}

const conflict = ({ requestId }: By): Fault =>
  new Fault('ALREADY_EXISTS', 'REQUEST_CONFLICT', 'the same id came before with another request', {
    violations: [{ field: 'request_id', value: requestId, expected: 'a new id for a new request' }],
  });
