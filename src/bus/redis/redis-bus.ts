import { randomBytes } from 'node:crypto';
import type { RedisBusConfig } from '../../config/config.js';
import type { Sequence } from '../../journal/journal.js';
import { Fault } from '../../lib/fault.js';
import type { Batch, Beat, Bus, Published } from '../bus.js';
import type { ReaderAtRisk } from '../reader-at-risk.js';
import { ALIVE } from './alive-script.js';
import { type Argument, type Connection, connect } from './connection.js';
import { type Credentials, readCredentials } from './credentials.js';
import { toFault, unavailable } from './errors.js';
import {
  aliveKey,
  endedKey,
  metaKey,
  parseAlive,
  partitionOf,
  publishedKey,
  recordsKey,
  SILENT_MS,
  sourceOf,
} from './keys.js';
import { PUBLISH } from './publish-script.js';
import { findReadersAtRisk } from './reader-lag.js';
import { strange, twin } from './refusals.js';
import type { Script } from './script.js';
import { checkServer } from './server-info.js';

export interface RedisBusOptions {
  readonly config: RedisBusConfig;
  readonly host: string;
  readonly journalId: string;
  /** Each command, and connecting, may take so long. Default 5 s. */
  readonly timeoutMs?: number;
  /** Default SILENT_MS. */
  readonly silentMs?: number;
  /** Server and readers are looked after at every so many beats. Default 4. */
  readonly careEvery?: number;
}

/** How long WAIT may take, of the time that a command has. */
const WAIT_SHARE = 0.5;

export class RedisBus implements Bus {
  readonly #options: RedisBusOptions;
  readonly #config: RedisBusConfig;
  readonly #timeoutMs: number;
  readonly #silentMs: number;
  /** Of this process, so that two processes over copies of one journal are told apart. */
  readonly #instance = randomBytes(8).toString('hex');
  readonly #keys: Readonly<Record<'records' | 'published' | 'alive' | 'ended', string>>;
  readonly #source: string;
  #connection: Connection | null = null;
  #credentials: Credentials | null = null;
  /** Of what connects at the moment. */
  #ending = new AbortController();
  #onLost: (fault: Error) => void = () => undefined;
  /** Another process had our name: from then on it is not taken from one that lives, whatever its journal. */
  #contested = false;
  /** When we last had it, by Redis' clock: the one that entries are dated by. */
  #hadNameAtMs = 0;
  #beats = 0;
  #warnings: readonly string[] = [];
  #readersAtRisk: readonly ReaderAtRisk[] = [];

  constructor(options: RedisBusOptions) {
    const { fleet, partitions } = options.config;
    const partition = partitionOf(options.host, partitions);
    this.#options = options;
    this.#config = options.config;
    this.#timeoutMs = options.timeoutMs ?? 5_000;
    this.#silentMs = options.silentMs ?? SILENT_MS;
    this.#source = sourceOf(options.host);
    this.#keys = {
      records: recordsKey(fleet, partition),
      published: publishedKey(fleet, partition),
      alive: aliveKey(fleet, partition),
      ended: endedKey(fleet, partition),
    };
  }

  async open(): Promise<Published | null> {
    this.close();
    const { signal } = this.#ending;
    const credentials = await readCredentials(this.#config);
    const connection = await this.#connect(credentials, signal);
    this.#connection = connection;
    this.#credentials = credentials;
    return await this.#guard(connection, async () => {
      this.#warnings = await checkServer(connection, this.#keys.records);
      await this.#checkPartitions(connection);
      const published = await this.#name(connection, this.#contested ? 'beat' : 'take');
      this.#contested = false;
      // Also for what was published over the connection before.
      await this.#wait(connection);
      return published;
    });
  }

  async publish(batch: Batch): Promise<Sequence> {
    const connection = this.#current();
    const { host, journalId } = this.#options;
    const { records, published, alive, ended } = this.#keys;
    const { trim } = this.#config;
    const args: Argument[] = [
      host,
      journalId,
      this.#instance,
      this.#silentMs,
      batch.replaces ?? '',
      batch.from,
      batch.records[0]?.sequence ?? batch.from,
      trim.maxLength,
      trim.maxAgeMs,
      this.#source,
    ];
    for (const { bytes } of batch.records) args.push(asBuffer(bytes));
    return await this.#guard(connection, async () => {
      const keys = [records, published, alive, ended];
      const { texts } = connection;
      const answering = this.#run(connection, PUBLISH, keys, args);
      // Sent at once behind it, so that a batch costs one round trip; with a Cluster it has to know the node first.
      const waiting = this.#config.at.kind === 'cluster' ? null : this.#wait(connection);
      waiting?.catch(() => undefined);
      const [kind, detail = ''] = await answering;
      if (kind === 'held') this.#seeHolder(detail);
      if (kind !== 'ok') {
        const text = `the batch from ${batch.from} of ${host} was refused: ${detail}`;
        throw new Fault('ABORTED', 'BUS_GAP', text);
      }
      await waiting;
      if (waiting === null || connection.texts !== texts) await this.#wait(connection);
      return Number(detail);
    });
  }

  async beat(): Promise<Beat> {
    const connection = this.#current();
    return await this.#guard(connection, async () => {
      await this.#checkPartitions(connection);
      const published = await this.#name(connection, 'beat');
      this.#beats += 1;
      if (this.#beats % (this.#options.careEvery ?? 4) === 0) {
        await this.#care(connection);
      }
      return { published, warnings: this.#warnings, readersAtRisk: this.#readersAtRisk };
    });
  }

  /** Looks after server, credentials and readers, and trims by age where nobody publishes. */
  async #care(connection: Connection): Promise<void> {
    const { trim } = this.#config;
    const { records } = this.#keys;
    // A host's own clock may be wrong, and would take everybody's records away.
    const nowMs = this.#hadNameAtMs;
    this.#readersAtRisk = await findReadersAtRisk(connection, records, trim, nowMs);
    this.#warnings = [
      ...(await checkServer(connection, records)),
      ...(await this.#checkCredentials()),
    ];
    const oldest = Math.floor(nowMs - trim.maxAgeMs);
    if (oldest > 0) await connection.call('XTRIM', [records, 'MINID', '~', oldest]);
  }

  async leave(): Promise<void> {
    // A rival has no connection, but leaves too: that sets the other one free.
    const { signal } = this.#ending;
    const connection =
      this.#connection ?? (await this.#connect(await readCredentials(this.#config), signal));
    this.#connection = connection;
    await this.#guard(connection, () => this.#say(connection, 'leave'));
  }

  onLost(listener: (fault: Error) => void): void {
    this.#onLost = listener;
  }

  close(): void {
    this.#ending.abort();
    this.#ending = new AbortController();
    this.#connection?.close();
    this.#connection = null;
  }

  #connect(
    credentials: Credentials,
    signal: AbortSignal,
    onLost = this.#lost,
  ): Promise<Connection> {
    const { config } = this.#options;
    return connect({ config, credentials, timeoutMs: this.#timeoutMs, onLost, signal });
  }

  readonly #lost = (fault: Error): void => {
    this.#connection = null;
    this.#onLost(fault);
  };

  #current(): Connection {
    if (this.#connection === null) throw unavailable('there is no connection');
    return this.#connection;
  }

  /** Whatever fails leaves unknown what the server did and what is still on its way: the connection is given up. */
  async #guard<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (this.#connection === connection) this.#connection = null;
      connection.close();
      throw toFault(error, connection.where);
    }
  }

  async #checkPartitions(connection: Connection): Promise<void> {
    const key = metaKey(this.#config.fleet);
    const { partitions } = this.#config;
    await connection.call('HSETNX', [key, 'partitions', partitions]);
    const written = String(await connection.call('HGET', [key, 'partitions']));
    if (written === String(partitions)) return;
    const text = `fleet ${this.#config.fleet} at ${connection.where} has ${written} partitions, bus.partitions says ${partitions}; they can't be changed while the fleet has records`;
    throw new Fault('FAILED_PRECONDITION', 'BUS_PARTITIONS', text);
  }

  async #name(connection: Connection, verb: 'take' | 'beat'): Promise<Published | null> {
    const { host, journalId } = this.#options;
    const [kind, detail = '', ended = '', nowMs] = await this.#say(connection, verb);
    if (kind === 'twin') {
      this.#contested = true;
      throw twin(host, journalId, detail, this.#silentMs);
    }
    this.#hadNameAtMs = Number(nowMs);
    if (detail === '') return null;
    const found = /^([^:]*):(\d+)$/.exec(detail);
    // To begin anew would put all records into the stream again.
    if (found?.[1] === undefined) throw strange(this.#keys.published, host, detail);
    const sequence = Number(found[2]);
    const ours = found[1] === journalId ? sequence : Number(ended);
    return { journalId: found[1], sequence, ours };
  }

  /**
   * Whoever took the name after us is a twin, or we are the one that was left behind. Who had it before us, and has it
   * again, is what a failover lost.
   */
  #seeHolder(text: string): void {
    const holder = parseAlive(text);
    this.#contested ||= holder !== null && holder.atMs >= this.#hadNameAtMs;
  }

  #say(connection: Connection, verb: 'take' | 'beat' | 'leave'): Promise<readonly string[]> {
    const { host, journalId } = this.#options;
    const { alive, published, ended, records } = this.#keys;
    const args = [host, journalId, this.#instance, verb, this.#silentMs];
    return this.#run(connection, ALIVE, [alive, published, ended, records], args);
  }

  /** The parts of a script's answer; the first says its kind. What Redis refused inside it is thrown. */
  async #run(
    connection: Connection,
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<readonly string[]> {
    const answer = await connection.run(script, keys, args);
    if (!Array.isArray(answer)) throw unavailable(`a script answered ${String(answer)}`);
    const parts = answer.map(String);
    if (parts[0] === 'error') throw new Error(parts[1]);
    return parts;
  }

  async #wait(connection: Connection): Promise<void> {
    const { minReplicas } = this.#config;
    if (minReplicas === 0) return;
    const args = [minReplicas, Math.ceil(this.#timeoutMs * WAIT_SHARE)];
    const replicas = Number(await connection.callAt(this.#keys.records, 'WAIT', args));
    if (replicas >= minReplicas) return;
    throw unavailable(
      `only ${replicas} of bus.minReplicas ${minReplicas} replicas have the records`,
    );
  }

  /** New files are tried before the connection that works is given up for them. */
  async #checkCredentials(): Promise<string[]> {
    try {
      const credentials = await readCredentials(this.#config);
      if (credentials.digest === this.#credentials?.digest) return [];
      (await this.#connect(credentials, this.#ending.signal, () => undefined)).close();
    } catch (error) {
      const { message } = toFault(error, 'Redis');
      return [
        `the changed certificates or password don't work, the ones before stay in use: ${message}`,
      ];
    }
    throw unavailable('certificates or password changed; connecting with the new ones');
  }
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
