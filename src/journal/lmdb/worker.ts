import { statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads';
import { type PackedCommit, unpackBatch } from './batch.js';
import { claim } from './claim.js';
import { checkDataFile, type DataFileState, LOCK_FILE } from './data-file.js';
import { noSpace, toFault } from './errors.js';
import { checkFormat } from './format.js';
import { Headroom, pagesForCommit, SMALL_PAGES } from './headroom.js';
import { type FromWriter, type ToWriter, toPlain, type WriterData } from './protocol.js';
import { freeBytes, getMeta, openStore, type Store } from './store.js';
import { Writer } from './writer.js';

/**
 * The one writer: a thread of its own, since every transaction blocks it until the disk has it. While it
 * waits for the disk, commits gather in the port; the next transaction takes them all.
 */

/** One transaction takes no more than this at once, so that its latency and memory have a bound. */
const GROUP_PAGES = 4096;
const GROUP_BYTES = 8 * 1024 * 1024;
const FOUNDING_BYTES = 1024 * 1024;
/** Under steady load the space of dropped records is freed in a bite after every so many transactions. */
const BITE_EVERY = 8;

class WriterThread {
  readonly #port: MessagePort;
  readonly #data: WriterData;
  #headroom: Headroom | null = null;
  #store: Store | null = null;
  #writer: Writer | null = null;
  #epoch = 0;
  #transactions = 0;
  #idle: NodeJS.Immediate | null = null;
  #sweepBefore = 0;

  constructor(port: MessagePort, data: WriterData) {
    this.#port = port;
    this.#data = data;
  }

  start(): void {
    this.#orUnusable(() => {
      const { dir } = this.#data;
      const state = checkDataFile(dir, true);
      checkSpace(dir, state);
      const headroom = state === 'present' ? new Headroom(dir) : null;
      if (headroom && !headroom.ensure(SMALL_PAGES)) throw noSpace(dir);
      this.#store = openStore({
        dir,
        readOnly: false,
        check: (meta) => {
          const format = getMeta(meta, 'format');
          if (format !== undefined) checkFormat(dir, format);
        },
      });
      this.#headroom = headroom ?? new Headroom(dir);
      this.#claim(null);
    });
    this.#port.on('message', (message: ToWriter) => this.#take(message));
  }

  /** The first message and all that came meanwhile, in order; neighbouring commits as one group. */
  #take(first: ToWriter): void {
    let next: ToWriter | undefined = first;
    while (next) {
      if (next.kind !== 'commits') {
        this.#control(next);
        next = this.#receive();
        continue;
      }
      const group: PackedCommit[] = [];
      let bytes = 0;
      while (next?.kind === 'commits' && bytes < GROUP_BYTES) {
        if (next.epoch === this.#epoch) {
          for (const commit of unpackBatch(next.batch)) group.push(commit);
          bytes += next.batch.length;
        }
        next = this.#receive();
      }
      for (let from = 0; from < group.length; ) {
        const to = endOfTransaction(group, from);
        if (!this.#commit(group.slice(from, to))) break;
        from = to;
      }
    }
  }

  #receive(): ToWriter | undefined {
    return (receiveMessageOnPort(this.#port) as { message: ToWriter } | undefined)?.message;
  }

  #control(message: Exclude<ToWriter, { kind: 'commits' }>): void {
    switch (message.kind) {
      case 'claim':
        this.#orUnusable(() => this.#claim(message.over));
        return;
      case 'sweep':
        this.#sweepBefore = message.nowMs;
        this.#workWhenIdle();
        return;
      case 'close':
        if (this.#idle) clearImmediate(this.#idle);
        this.#writer?.close();
        this.#send({ kind: 'closed' });
        this.#port.close();
    }
  }

  #claim(over: string | null): void {
    const store = this.#store;
    const headroom = this.#headroom;
    if (!store || !headroom) return;
    if (!headroom.ensure(SMALL_PAGES)) throw noSpace(this.#data.dir);
    const claimed = claim(store, this.#data, process.pid, over);
    if (claimed.kind === 'owned') {
      this.#send(claimed);
      return;
    }
    const { id, oldest, newest } = claimed;
    this.#writer = new Writer(store, this.#data, headroom, claimed);
    this.#send({ kind: 'ready', id, oldest, newest, replaced: over });
    this.#workWhenIdle();
  }

  /** False when one failed: what is behind it is of the epoch before. */
  #commit(group: readonly PackedCommit[]): boolean {
    const writer = this.#writer;
    if (!writer) return false;
    writer.checkKilled();
    const { count, fault, belowReserve } = writer.apply(group);
    if (fault) this.#epoch += 1;
    this.#send({ kind: 'settled', count, fault: fault && toPlain(fault), belowReserve });
    this.#transactions += 1;
    if (writer.hasDropped && this.#transactions % BITE_EVERY === 0) this.#bite(writer);
    else if (writer.hasDropped || writer.mayLackSpace) this.#workWhenIdle();
    return !fault;
  }

  #workWhenIdle(): void {
    this.#idle ??= setImmediate(() => {
      this.#idle = null;
      if (this.#writer && this.#bite(this.#writer)) this.#workWhenIdle();
    });
  }

  /** True when there is more to do. A bite that fails is tried again with the next commit or sweep. */
  #bite(writer: Writer): boolean {
    try {
      if (writer.mayLackSpace) writer.topUp();
      if (writer.hasDropped) {
        const through = writer.freeDropped();
        if (!writer.hasDropped) this.#send({ kind: 'dropped', through });
        return true;
      }
      return this.#sweepBefore > 0 && writer.sweepExpired(this.#sweepBefore);
    } catch {
      return false;
    }
  }

  #orUnusable(step: () => void): void {
    try {
      step();
    } catch (error) {
      const fault = toFault(error, { dir: this.#data.dir, freeBytes: null });
      this.#send({ kind: 'unusable', fault: toPlain(fault) });
    }
  }

  #send(message: FromWriter): void {
    this.#port.postMessage(message);
  }
}

function endOfTransaction(group: readonly PackedCommit[], from: number): number {
  let pages = 0;
  let to = from;
  for (const commit of group.slice(from)) {
    pages += pagesForCommit(commit);
    if (pages > GROUP_PAGES && to > from) break;
    to += 1;
  }
  return to;
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

if (parentPort) new WriterThread(parentPort, workerData as WriterData).start();
