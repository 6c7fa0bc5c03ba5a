import type { BigIntStats } from 'node:fs';
import { lstat, opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiscoverConfig } from '../config/config.js';
import { isFixed, type Parts, type SegmentMatch, segmentMatcher } from '../lib/path-template.js';
import { MAX_SOCKET_PATH } from '../lib/socket-path.js';
import { directoryProblem, socketProblem, trustedOwners } from './trust.js';

/** A socket that a pattern matches and that may be opened. */
export interface Candidate {
  readonly from: DiscoverConfig;
  readonly path: string;
  readonly parts: Parts;
  /** Another one for each socket that is made at this path. */
  readonly mark: string;
}

export interface Refusal {
  readonly path: string;
  readonly reason: string;
}

export interface Scan {
  /** In the order of the patterns, then of their paths; each path once. */
  readonly candidates: readonly Candidate[];
  readonly refused: readonly Refusal[];
  /** Refusals beyond those listed. */
  readonly refusedMore: number;
  /** Everything was looked at: a socket that is not among the candidates is not there, or refused. */
  readonly whole: boolean;
  /** Where sockets may come and go, by path, with what tells a directory from another one at its path. */
  readonly directories: ReadonlyMap<string, string>;
}

export interface ScanOptions {
  /** Of this process. */
  readonly ownUid: number;
  readonly signal?: AbortSignal;
  /** Names looked at in one scan. Default 20,000. */
  readonly maxNames?: number;
}

const MAX_NAMES = 20_000;
const MAX_REFUSALS = 100;

/** Looks once for the sockets of all patterns. Bounded in what it looks at and in what it answers; never rejects. */
export const scanSockets = async (
  patterns: readonly DiscoverConfig[],
  options: ScanOptions,
): Promise<Scan> => {
  const walk = new Walk(options);
  for (const from of patterns) await walk.pattern(from);
  return walk.result();
};

interface Pattern {
  readonly from: DiscoverConfig;
  readonly matchers: readonly SegmentMatch[];
  readonly owners: ReadonlySet<number>;
}

class Walk {
  readonly #options: ScanOptions;
  readonly #candidates = new Map<string, Candidate>();
  readonly #refused: Refusal[] = [];
  readonly #directories = new Map<string, string>();
  #refusedMore = 0;
  #whole = true;
  #namesLeft: number;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#namesLeft = options.maxNames ?? MAX_NAMES;
  }

  result(): Scan {
    return {
      candidates: [...this.#candidates.values()],
      refused: this.#refused,
      refusedMore: this.#refusedMore,
      whole: this.#whole && this.#options.signal?.aborted !== true,
      directories: this.#directories,
    };
  }

  async pattern(from: DiscoverConfig): Promise<void> {
    const { base, segments } = from.driver.socket;
    const owners = trustedOwners(from.owners, this.#options.ownUid);
    // The operator named it, so it may be a link.
    const found = await this.#look(base, (path) => stat(path, { bigint: true }));
    if (found === null) return;
    const problem = found.isDirectory() ? directoryProblem(found, owners) : 'is no directory';
    if (problem !== null) {
      this.#refuse(base, problem);
      return;
    }
    this.#directories.set(base, markOf(found));
    await this.#descend({ from, matchers: segments.map(segmentMatcher), owners }, base, 0, {});
  }

  async #descend(pattern: Pattern, dir: string, depth: number, parts: Parts): Promise<void> {
    const segment = pattern.from.driver.socket.segments[depth] ?? '';
    const match = pattern.matchers[depth];
    if (match === undefined) return;
    const names = isFixed(segment) ? [segment] : await this.#names(dir, match);
    for (const name of names) {
      if (this.#options.signal?.aborted === true) return;
      const more = match(name);
      if (more === null) continue;
      const path = join(dir, name);
      const found = await this.#look(path, (at) => lstat(at, { bigint: true }));
      if (found === null) continue;
      const here = { ...parts, ...more };
      if (depth === pattern.matchers.length - 1) this.#socket(pattern, path, found, here);
      else if (found.isSymbolicLink()) this.#refuse(path, 'is a symbolic link, not followed');
      else if (found.isDirectory()) {
        const problem = directoryProblem(found, pattern.owners);
        if (problem !== null) this.#refuse(path, problem);
        else {
          this.#directories.set(path, markOf(found));
          await this.#descend(pattern, path, depth + 1, here);
        }
      }
    }
  }

  #socket({ from, owners }: Pattern, path: string, found: BigIntStats, parts: Parts): void {
    if (this.#candidates.has(path)) return;
    // Logs and process ids lie beside sockets; only what poses as one is told of.
    if (!found.isSocket() && !found.isSymbolicLink()) return;
    const bytes = Buffer.byteLength(path);
    const problem =
      bytes > MAX_SOCKET_PATH
        ? `has ${bytes} bytes; the path of a unix socket has at most ${MAX_SOCKET_PATH}`
        : socketProblem(found, owners);
    if (problem === null) this.#candidates.set(path, { from, path, parts, mark: markOf(found) });
    else this.#refuse(path, problem);
  }

  /** Those that match, in order. */
  async #names(dir: string, match: SegmentMatch): Promise<readonly string[]> {
    const names: string[] = [];
    try {
      for await (const { name } of await opendir(dir)) {
        if (this.#options.signal?.aborted === true) break;
        if (this.#namesLeft === 0) {
          const limit = this.#options.maxNames ?? MAX_NAMES;
          this.#notWhole(dir, `has more names than the ${limit} that are looked at in one scan`);
          break;
        }
        this.#namesLeft -= 1;
        if (match(name) !== null) names.push(name);
      }
    } catch (error) {
      if (!isMissing(error)) this.#notWhole(dir, `can't be read: ${codeOf(error)}`);
    }
    return names.sort();
  }

  /** null: it isn't there, or can't be looked at. */
  async #look(
    path: string,
    ask: (path: string) => Promise<BigIntStats>,
  ): Promise<BigIntStats | null> {
    try {
      return await ask(path);
    } catch (error) {
      if (!isMissing(error)) this.#notWhole(path, `can't be looked at: ${codeOf(error)}`);
      return null;
    }
  }

  #notWhole(path: string, reason: string): void {
    this.#whole = false;
    this.#refuse(path, reason);
  }

  #refuse(path: string, reason: string): void {
    if (this.#refused.length < MAX_REFUSALS) this.#refused.push({ path, reason });
    else this.#refusedMore += 1;
  }
}

const markOf = ({ ino, birthtimeNs }: BigIntStats): string =>
  `${ino.toString(36)}.${birthtimeNs.toString(36)}`;

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error);

const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error));
