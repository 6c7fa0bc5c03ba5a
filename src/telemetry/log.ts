import pino from 'pino';
import type { LogLevel } from '../config/config.js';
import { isFault } from '../lib/fault.js';
import type { Logger } from '../lib/logger.js';
import { createLineWriter } from './line-writer.js';

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: pretty on a terminal, else one JSON object a line. */
  readonly format: 'auto' | 'json' | 'pretty';
  /** File descriptor to write to. Default 2. */
  readonly fd?: number;
  /** Whether `fd` is a terminal. */
  readonly terminal: boolean;
  /** On every line. */
  readonly fields?: object;
}

export interface Log extends Logger {
  /** Writes out what is still buffered, within a second. Call it last. */
  flush(): Promise<void>;
}

export const createLog = async (options: LogOptions): Promise<Log> => {
  const fd = options.fd ?? 2;
  const pretty = options.format === 'pretty' || (options.format === 'auto' && options.terminal);
  const sink = pretty ? await prettySink(fd, options.terminal) : jsonSink(fd);
  const log = pino(
    {
      level: options.level,
      base: { ...options.fields },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }), log: plain, bindings: plain },
    },
    sink.stream,
  );
  return Object.assign(log, { flush: sink.flush });
};

const plain = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, plainValue(value)]));

const plainValue = (value: unknown): unknown => {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (isFault(value)) return { reason: value.reason, message: value.message };
  if (value instanceof Error) return { message: value.message, stack: value.stack };
  if (Array.isArray(value)) return value.map(plainValue);
  return value;
};

interface Sink {
  readonly stream: pino.DestinationStream;
  readonly flush: () => Promise<void>;
}

const jsonSink = (fd: number): Sink => {
  const stream = createLineWriter(fd);
  return { stream, flush: stream.flush };
};

/** Loaded only where a person reads. No worker thread: lines come out in order with what else is printed. */
const prettySink = async (fd: number, colorize: boolean): Promise<Sink> => {
  const { default: pinoPretty } = await import('pino-pretty');
  const stream = pinoPretty({
    destination: fd,
    sync: true,
    colorize,
    messageKey: 'message',
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  });
  stream.on('error', endOfLog);
  return { stream, flush: writtenAtOnce };
};

const endOfLog = (): void => {
  // A reader that has gone away (EPIPE) ends the log, not the program.
};

const writtenAtOnce = async (): Promise<void> => {
  // Nothing is buffered in a synchronous stream.
};
