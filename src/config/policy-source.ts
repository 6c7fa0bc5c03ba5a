import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { Fault } from '../lib/fault.js';
import { loadPolicy } from '../policy/load-policy.js';
import type { ParsedPolicy } from '../policy/parse.js';
import type { Policy } from '../policy/policy.js';
import type { PolicyStatus } from '../policy/policy-status.js';
import {
  formatProblem,
  type PolicyProblem,
  type PolicyWarning,
  PROBLEMS,
} from '../policy/problem.js';
import { type PolicyContent, readPolicyContent } from './policy-content.js';

/** The operator's policy as it is on disk: always the last good one. */
export interface PolicySource {
  readonly current: Policy;
  readonly warnings: readonly PolicyWarning[];
  status(): PolicyStatus;
  /** No change is told after it was called. Idempotent; resolves within a second, whatever the disk does. */
  close(): Promise<void>;
}

export type PolicyChange =
  | {
      readonly kind: 'loaded';
      readonly policy: Policy;
      readonly warnings: readonly PolicyWarning[];
    }
  /** The last good policy stays; told once for each broken content. */
  | { readonly kind: 'broken'; readonly problems: readonly PolicyProblem[] };

export interface PolicySourceOptions {
  /** Quiet time in the directory before the file is read again. Default 100 ms. */
  readonly settleMs?: number;
  /** A busy directory puts reading off no longer than this. Default 1 s. */
  readonly maxSettleMs?: number;
  /**
   * The file is looked at this often anyway, for what a watch on its directory can't see: a link to elsewhere, a
   * network file system, a replaced directory. Default 5 s.
   */
  readonly pollMs?: number;
  /** Milliseconds since the epoch. Default: the host's clock. */
  readonly now?: () => number;
}

/**
 * Loads the policy and follows it; `onChange` must not throw. Watches the directory, not the file: editors and Kubernetes put a new file (or
 * `..data` link) in place of the old one, and a watch on the old one sees nothing more.
 *
 * Faults: POLICY_UNREADABLE (NOT_FOUND: there is no such file, or it can't be read), POLICY_BROKEN (INVALID_ARGUMENT,
 * with all problems).
 */
export const openPolicySource = async (
  file: string,
  onChange: (change: PolicyChange) => void,
  options: PolicySourceOptions = {},
): Promise<PolicySource> => {
  const content = await readPolicyContent(file);
  const first = await parse(file, content);
  if (!first.ok) throw toFault(file, first.problems);
  const follower = new Follower(file, content, first, onChange, options);
  follower.start();
  return follower;
};

/** The file as it is now, also when it can't be read (then `text` is empty). Never rejects. */
export const readPolicyFile = async (
  file: string,
): Promise<ParsedPolicy & { readonly text: string }> => {
  const content = await readPolicyContent(file);
  return { ...(await parse(file, content)), text: textOf(content) };
};

type Good = Extract<ParsedPolicy, { ok: true }>;

const CLOSE_MS = 1_000;

class Follower implements PolicySource {
  #good: Good;
  #mark: string;
  #text: string;
  #loadedAtMs: number;
  #broken: PolicyStatus['broken'] = null;
  readonly #now: () => number;
  #closed = false;
  #watcher: FSWatcher | null = null;
  #poll: NodeJS.Timeout | null = null;
  #settle: NodeJS.Timeout | null = null;
  #readBy = 0;
  #reading: Promise<void> | null = null;
  #readAgain = false;

  constructor(
    private readonly file: string,
    content: PolicyContent,
    first: Good,
    private readonly onChange: (change: PolicyChange) => void,
    private readonly options: PolicySourceOptions,
  ) {
    this.#good = first;
    this.#mark = content.mark;
    this.#text = textOf(content);
    this.#now = options.now ?? Date.now;
    this.#loadedAtMs = this.#now();
  }

  get current(): Policy {
    return this.#good.policy;
  }

  get warnings(): readonly PolicyWarning[] {
    return this.#good.warnings;
  }

  status(): PolicyStatus {
    return {
      policy: this.#good.policy,
      source: this.file,
      text: this.#text,
      loadedAtMs: this.#loadedAtMs,
      warnings: this.#good.warnings,
      broken: this.#broken,
    };
  }

  start(): void {
    this.#watch();
    this.#poll = setInterval(() => {
      if (this.#watcher === null) this.#watch();
      this.#read();
    }, this.options.pollMs ?? 5_000);
    this.#poll.unref();
    // What changed between the first read and the watch.
    this.#read();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    this.#watcher = null;
    if (this.#poll !== null) clearInterval(this.#poll);
    if (this.#settle !== null) clearTimeout(this.#settle);
    if (this.#reading === null) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([this.#reading, late]);
    clearTimeout(timer);
  }

  #watch(): void {
    try {
      const watcher = watch(dirname(this.file), { persistent: false }, () => this.#touched());
      // Without a watch (no inotify left, directory gone) polling goes on, and tries to watch again.
      watcher.on('error', () => {
        watcher.close();
        if (this.#watcher === watcher) this.#watcher = null;
      });
      this.#watcher = watcher;
    } catch {
      this.#watcher = null;
    }
  }

  #touched(): void {
    if (this.#closed) return;
    const now = performance.now();
    if (this.#settle === null) this.#readBy = now + (this.options.maxSettleMs ?? 1_000);
    else clearTimeout(this.#settle);
    const wait = Math.min(this.options.settleMs ?? 100, Math.max(0, this.#readBy - now));
    this.#settle = setTimeout(() => {
      this.#settle = null;
      this.#read();
    }, wait);
    this.#settle.unref();
  }

  /** One read at a time; what comes meanwhile makes one more. */
  #read(): void {
    if (this.#closed) return;
    if (this.#reading !== null) {
      this.#readAgain = true;
      return;
    }
    this.#reading = this.#readAndTake().then(() => {
      this.#reading = null;
      if (this.#closed) return;
      if (!this.#readAgain) return;
      this.#readAgain = false;
      this.#read();
    });
  }

  async #readAndTake(): Promise<void> {
    const content = await readPolicyContent(this.file);
    if (this.#closed || content.mark === this.#mark) return;
    const parsed = await parse(this.file, content);
    if (this.#closed) return;
    this.#mark = content.mark;
    if (parsed.ok) {
      this.#good = parsed;
      this.#text = textOf(content);
      this.#loadedAtMs = this.#now();
      this.#broken = null;
      const { policy, warnings } = parsed;
      this.onChange({ kind: 'loaded', policy, warnings });
    } else {
      this.#broken = { atMs: this.#now(), problems: parsed.problems };
      this.onChange({ kind: 'broken', problems: parsed.problems });
    }
  }
}

const textOf = (content: PolicyContent): string => ('text' in content ? content.text : '');

const parse = async (file: string, content: PolicyContent): Promise<ParsedPolicy> => {
  if ('text' in content) return loadPolicy(content.text, file);
  const { id, message } = content;
  return { ok: false, problems: [{ id, file, line: 1, column: 1, path: '', message, hint: '' }] };
};

const toFault = (file: string, problems: readonly PolicyProblem[]): Fault => {
  const unreadable = problems.some((problem) => problem.id === PROBLEMS.unreadable);
  const lines = problems.map(formatProblem).join('\n');
  return unreadable
    ? new Fault('NOT_FOUND', 'POLICY_UNREADABLE', `policy file ${file}: ${problems[0]?.message}`, {
        violations: [{ field: 'policyFile', value: file, expected: 'a readable policy file' }],
      })
    : new Fault('INVALID_ARGUMENT', 'POLICY_BROKEN', `the policy can't be used:\n${lines}`, {
        violations: problems.map((problem) => ({
          field: `${file}:${problem.line}:${problem.column} ${problem.path}`.trimEnd(),
          expected: problem.message,
        })),
      });
};
