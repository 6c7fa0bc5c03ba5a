import { recordsKey } from '../bus/redis/keys.js';
import { backoffMs } from '../lib/backoff.js';
import { Bell } from '../lib/bell.js';
import { connect, type FleetConnection, MAX_BLOCK_MS } from './connection.js';
import { markerOf, parseEntry } from './entry.js';
import type { FollowedItem, FollowOptions } from './fleet.js';
import { HostProgress } from './host-progress.js';
import { isLasting } from './lasting.js';
import { type Matches, matches } from './matches.js';
import type { RawEntry } from './partition-store.js';
import { readPartitions } from './partitions.js';
import { readPublished } from './published.js';
import { compareIds, newestId, readStream } from './read-stream.js';
import type { RedisTarget } from './redis-target.js';

interface Place {
  /** The last entry that was read. */
  after: string;
  /** Where to end; null: nowhere. */
  readonly end: string | null;
  more: boolean;
}

const PAGE = 100;
const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;

/** `follow` of Fleet. */
export async function* follow(
  target: RedisTarget,
  fleet: string,
  options: FollowOptions,
  signal: AbortSignal,
): AsyncGenerator<FollowedItem, undefined> {
  const follower = new Follower(fleet, options);
  const pause = new Bell();
  const wake = () => pause.ring();
  signal.addEventListener('abort', wake, { once: true });
  let attempt = 0;
  try {
    while (!signal.aborted && !follower.ended) {
      let connection: FleetConnection | null = null;
      const cut = () => connection?.close();
      signal.addEventListener('abort', cut, { once: true });
      try {
        connection = await connect(target);
        for await (const items of follower.pages(connection, signal)) {
          if (attempt > 0) options.onTrouble?.(null);
          attempt = 0;
          yield* items;
          if (signal.aborted) return undefined;
        }
      } catch (error) {
        if (signal.aborted) return undefined;
        if (isLasting(error)) throw error;
        attempt += 1;
        if (attempt === 1) options.onTrouble?.(error as Error);
        await pause.wait(backoffMs(attempt, BACKOFF_MS, MAX_BACKOFF_MS));
      } finally {
        signal.removeEventListener('abort', cut);
        connection?.close();
      }
    }
    return undefined;
  } finally {
    signal.removeEventListener('abort', wake);
  }
}

/** Where it is in each stream, from one connection to the next. */
class Follower {
  readonly #fleet: string;
  readonly #options: FollowOptions;
  readonly #matches: Matches;
  readonly #hosts = new Map<string, HostProgress>();
  #places: Place[] | null = null;
  ended = false;

  constructor(fleet: string, options: FollowOptions) {
    this.#fleet = fleet;
    this.#options = options;
    this.#matches = matches(options.filter);
  }

  /** What has come, partition by partition, in order within each; an empty page when nothing has. */
  async *pages(
    connection: FleetConnection,
    signal: AbortSignal,
  ): AsyncGenerator<FollowedItem[], undefined> {
    this.#places ??= await this.#begin(connection, signal);
    const places = this.#places;
    if (places === null) return undefined;
    for (const place of places) place.more = true;
    while (!signal.aborted) {
      for (const [index, place] of places.entries()) {
        if (!place.more || isAtEnd(place)) continue;
        const page = await readStream(
          connection,
          recordsKey(this.#fleet, index),
          place.after,
          PAGE,
        );
        place.after = page.at(-1)?.id ?? place.after;
        place.more = page.length === PAGE;
        yield page.flatMap((entry) => this.#items(entry));
      }
      if (places.every(isAtEnd)) {
        this.ended = true;
        return undefined;
      }
      if (places.some(({ more }) => more)) continue;
      await this.#wait(connection, places);
    }
    return undefined;
  }

  /** null: the signal aborted before the fleet had anything. */
  async #begin(connection: FleetConnection, signal: AbortSignal): Promise<Place[] | null> {
    const { from = 'now', untilNewest = false } = this.#options;
    let begin = from;
    for (let attempt = 1; ; attempt += 1) {
      const partitions = await readPartitions(connection, this.#fleet);
      if (partitions !== null) {
        return Promise.all(
          Array.from({ length: partitions }, (_, index) =>
            this.#place(connection, index, begin, untilNewest),
          ),
        );
      }
      if (untilNewest || signal.aborted) {
        this.ended = true;
        return null;
      }
      begin = 'beginning';
      const pause = new Bell();
      const wake = () => pause.ring();
      signal.addEventListener('abort', wake, { once: true });
      await pause.wait(backoffMs(attempt, BACKOFF_MS, MAX_BACKOFF_MS));
      signal.removeEventListener('abort', wake);
    }
  }

  async #place(
    connection: FleetConnection,
    index: number,
    from: 'beginning' | 'now',
    untilNewest: boolean,
  ): Promise<Place> {
    const newest = await newestId(connection, recordsKey(this.#fleet, index));
    if (from === 'now') {
      for (const [host, { journalId, sequence }] of await readPublished(
        connection,
        this.#fleet,
        index,
      )) {
        this.#progressOf(host).merge(journalId, { through: sequence, ahead: [] });
      }
    }
    const after = from === 'now' ? newest : '0-0';
    return { after, end: untilNewest ? newest : null, more: true };
  }

  async #wait(connection: FleetConnection, places: readonly Place[]): Promise<void> {
    const keys = places.map((_, index) => recordsKey(this.#fleet, index));
    const streams = places.map(({ after }, index) => ({ key: keys[index] ?? '', after }));
    const news = await connection.watch(streams, MAX_BLOCK_MS);
    for (const [index, place] of places.entries()) {
      const key = keys[index] ?? '';
      place.more = news === null || news.has(key);
      // A Redis that was emptied may begin again before where this one was.
      if (news === null && compareIds(await newestId(connection, key), place.after) < 0) {
        place.after = '0-0';
      }
    }
  }

  #items({ id: entryId, fields }: RawEntry): FollowedItem[] {
    const entry = parseEntry(fields);
    if (entry.identity === null) {
      return [
        { kind: 'unreadable', entryId, identity: null, reason: entry.ok ? '' : entry.problem },
      ];
    }
    const { host, journalId, sequence } = entry.identity;
    if (!this.#isOfHosts(host)) return [];
    const progress = this.#progressOf(host);
    if (progress.isSettled(journalId, sequence)) return [];
    const gaps = progress
      .pass(journalId, sequence, entry.ok ? markerOf(entry.record, sequence) : null)
      .map((missing): FollowedItem => ({ kind: 'gap', host, journalId, missing }));
    progress.settle(journalId, sequence, []);
    if (!entry.ok) {
      const { identity, problem } = entry;
      return [...gaps, { kind: 'unreadable', entryId, identity, reason: problem }];
    }
    const { record } = entry;
    if (!this.#matches(host, record)) return gaps;
    return [...gaps, { kind: 'record', host, journalId, sequence, record, entryId }];
  }

  #isOfHosts(host: string): boolean {
    const { hosts = [] } = this.#options.filter ?? {};
    return hosts.length === 0 || hosts.includes(host);
  }

  #progressOf(host: string): HostProgress {
    let progress = this.#hosts.get(host);
    if (progress === undefined) {
      progress = new HostProgress();
      this.#hosts.set(host, progress);
    }
    return progress;
  }
}

const isAtEnd = ({ after, end }: Place): boolean => end !== null && compareIds(after, end) >= 0;
