import net from 'node:net';
import type { Fault } from '../../lib/fault.js';
import {
  closedFault,
  commandTimeoutFault,
  garbageFault,
  greetingFault,
  hungFault,
  lineFault,
  notQmpFault,
  pathFault,
  socketFault,
  stoppedFault,
} from './errors.js';
import { isObject, type JsonObject, parseJson, text } from './json.js';
import { LineSplitter } from './line-splitter.js';
import type { Command, QmpEvent, Reply } from './messages.js';

/** QMP holds this many commands; a ninth would stop the monitor from being read. */
const MAX_IN_FLIGHT = 8;
/** Batches that wait for room. More are refused: QEMU hangs. */
const MAX_WAITING = 32;

/** One QMP monitor, greeting read. Commands are answered in order; events come between the answers. */
export interface QmpConnection {
  /**
   * Sends commands in one write; resolves with their answers, in order. Rejects with a Fault when the
   * connection ends (UNAVAILABLE) or the last answer isn't there in time (DEADLINE_EXCEEDED).
   * `onReplies` is called right when the last answer is read, before anything that came after it.
   */
  execute(
    commands: readonly Command[],
    timeoutMs: number,
    onReplies?: (replies: readonly Reply[]) => void,
  ): Promise<readonly Reply[]>;

  /** Resolves with the reason when the connection has ended. */
  readonly ended: Promise<Fault>;

  close(): void;
}

export interface ConnectOptions {
  readonly socket: string;
  readonly signal: AbortSignal;
  /** For connecting and the greeting together. */
  readonly timeoutMs: number;
  readonly maxLineBytes: number;
  readonly onEvent: (event: QmpEvent) => void;
}

/** Connects and reads the greeting. Rejects with a Fault. */
export const connectQmp = (options: ConnectOptions): Promise<QmpConnection> =>
  new Promise((resolve, reject) => {
    const unable = options.signal.aborted ? stoppedFault() : pathFault(options.socket);
    if (unable !== null) {
      reject(unable);
      return;
    }
    const monitor = new Monitor(options, () => resolve(monitor));
    void monitor.ended.then(reject);
  });

interface Batch {
  readonly commands: readonly Command[];
  readonly replies: Reply[];
  readonly timeoutMs: number;
  readonly onReplies: ((replies: readonly Reply[]) => void) | undefined;
  readonly resolve: (replies: readonly Reply[]) => void;
  readonly reject: (fault: Fault) => void;
  timer: NodeJS.Timeout | null;
}

class Monitor implements QmpConnection {
  readonly ended: Promise<Fault>;
  readonly #options: ConnectOptions;
  readonly #socket: net.Socket;
  readonly #onGreeting: () => void;
  readonly #pending = new Map<number, Batch>();
  readonly #waiting: Batch[] = [];
  readonly #deadline: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#end(stoppedFault());
  #resolveEnded: (fault: Fault) => void = () => undefined;
  #greeted = false;
  #over: Fault | null = null;
  #nextId = 1;

  constructor(options: ConnectOptions, onGreeting: () => void) {
    this.#options = options;
    this.#onGreeting = onGreeting;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    const { socket, timeoutMs, maxLineBytes, signal } = options;
    const lines = new LineSplitter(maxLineBytes);
    const take = (line: string): void => this.#line(line);
    this.#deadline = setTimeout(() => this.#end(greetingFault(socket, timeoutMs)), timeoutMs);
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#socket = net.connect(socket);
    this.#socket.on('data', (chunk: Buffer) => {
      if (!lines.push(chunk, take)) this.#end(lineFault(socket, maxLineBytes));
    });
    this.#socket.on('error', (error) => this.#end(socketFault(error, socket)));
    this.#socket.on('close', () => this.#end(closedFault(socket)));
  }

  execute(
    commands: readonly Command[],
    timeoutMs: number,
    onReplies?: (replies: readonly Reply[]) => void,
  ): Promise<readonly Reply[]> {
    return new Promise((resolve, reject) => {
      if (this.#over !== null) {
        reject(this.#over);
        return;
      }
      const batch: Batch = {
        commands,
        replies: [],
        timeoutMs,
        onReplies,
        resolve,
        reject,
        timer: null,
      };
      if (this.#waiting.length === 0 && this.#hasRoom(batch)) this.#write(batch);
      else if (this.#waiting.length < MAX_WAITING) this.#wait(batch);
      else reject(hungFault(this.#options.socket));
    });
  }

  close(): void {
    this.#end(stoppedFault());
  }

  #hasRoom(batch: Batch): boolean {
    return this.#pending.size + batch.commands.length <= MAX_IN_FLIGHT;
  }

  #wait(batch: Batch): void {
    this.#waiting.push(batch);
    // As long unanswered as a command may be, and not even room for this one: nothing will come of it.
    batch.timer = setTimeout(() => this.#end(hungFault(this.#options.socket)), batch.timeoutMs);
  }

  #write(batch: Batch): void {
    let lines = '';
    for (const command of batch.commands) {
      const id = this.#nextId++;
      this.#pending.set(id, batch);
      const args = command.arguments === undefined ? '' : `,"arguments":${command.arguments}`;
      lines += `{"execute":"${command.name}"${args},"id":${id}}\r\n`;
    }
    if (batch.timer !== null) clearTimeout(batch.timer);
    batch.timer = setTimeout(() => this.#late(batch), batch.timeoutMs);
    this.#socket.write(lines);
  }

  /** Its commands stay in flight: they may still be answered, and the answers are dropped then. */
  #late(batch: Batch): void {
    const names = batch.commands.map((command) => command.name).join(', ');
    batch.reject(commandTimeoutFault(names, batch.timeoutMs));
  }

  #line(line: string): void {
    if (line === '' || this.#over !== null) return;
    const message = parse(line);
    if (!this.#greeted) {
      if (message === null || !isObject(message['QMP'])) {
        this.#end(notQmpFault(this.#options.socket, line));
        return;
      }
      this.#greeted = true;
      clearTimeout(this.#deadline);
      this.#onGreeting();
    } else if (message === null) {
      this.#end(garbageFault(this.#options.socket, line));
    } else if (typeof message['event'] === 'string') {
      this.#options.onEvent(toEvent(message['event'], message));
    } else if ('return' in message || 'error' in message) {
      this.#reply(message, line);
    } else {
      this.#end(garbageFault(this.#options.socket, line));
    }
  }

  #reply(message: JsonObject, line: string): void {
    const id = message['id'];
    const batch = typeof id === 'number' ? this.#pending.get(id) : undefined;
    if (batch === undefined) {
      // Every command here has an id, so what comes without one answers a line that QEMU could not read.
      this.#end(garbageFault(this.#options.socket, line));
      return;
    }
    this.#pending.delete(id as number);
    batch.replies.push(toReply(message));
    if (batch.replies.length === batch.commands.length) {
      if (batch.timer !== null) clearTimeout(batch.timer);
      batch.onReplies?.(batch.replies);
      batch.resolve(batch.replies);
    }
    const next = this.#waiting[0];
    if (next !== undefined && this.#hasRoom(next)) {
      this.#waiting.shift();
      this.#write(next);
    }
  }

  #end(fault: Fault): void {
    if (this.#over !== null) return;
    this.#over = fault;
    clearTimeout(this.#deadline);
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#socket.destroy();
    for (const batch of [...new Set(this.#pending.values()), ...this.#waiting]) {
      if (batch.timer !== null) clearTimeout(batch.timer);
      batch.reject(fault);
    }
    this.#pending.clear();
    this.#waiting.length = 0;
    this.#resolveEnded(fault);
  }
}

const parse = (line: string): JsonObject | null => {
  try {
    const value = parseJson(line);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
};

const toReply = (message: JsonObject): Reply => {
  if ('return' in message) return { ok: true, value: message['return'] ?? null };
  const error = message['error'];
  return {
    ok: false,
    error: isObject(error)
      ? { class: text(error, 'class'), desc: text(error, 'desc') }
      : { class: 'GenericError', desc: '' },
  };
};

const toEvent = (name: string, message: JsonObject): QmpEvent => {
  const { data, timestamp } = message;
  let atMs: number | null = null;
  if (isObject(timestamp)) {
    const { seconds, microseconds } = timestamp;
    // QEMU writes -1 for both when the host's clock could not be read.
    if (typeof seconds === 'number' && typeof microseconds === 'number' && seconds >= 0) {
      atMs = Math.floor(seconds * 1000 + microseconds / 1000);
    }
  }
  return { name, data: isObject(data) ? data : {}, atMs };
};
