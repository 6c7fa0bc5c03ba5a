import { setMaxListeners } from 'node:events';
import type {
  Metadata,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from '@grpc/grpc-js';
import { Fault, isFault } from '../lib/fault.js';
import type { Logger } from '../lib/logger.js';
import { callLifetime, cancelled, streamLifetime } from './call-lifetime.js';
import { type Callers, tooMany } from './callers.js';
import { createSlots, type Slots } from './slots.js';
import { statusFromError } from './status.js';

/**
 * Registers methods as plain async functions. Whatever such a function throws becomes a status, also for
 * a message that can't be decoded. Every call has a signal: the caller went away, or its deadline
 * passed, or (streams) the server stops.
 */
export interface Router {
  /** `maxBytes`: of a request; default 64 KiB. */
  unary<Req, Res>(
    method: Method<Req, Res>,
    handle: (request: Req, call: UnaryCall) => Promise<Res>,
    maxBytes?: number,
  ): void;
  serverStream<Req, Res>(
    method: Method<Req, Res>,
    handle: (request: Req, stream: ResponseStream<Res>) => Promise<void>,
    maxBytes?: number,
  ): void;
  /** When the server stops the requests end with the reason; what is written goes out until the server's grace ends. */
  bidi<Req, Res>(
    method: Method<Req, Res>,
    handle: (requests: AsyncIterable<Req>, stream: ResponseStream<Res>) => Promise<void>,
    own?: BidiLimits,
  ): void;
}

export interface BidiLimits {
  /** Open streams at once. Default: the router's. */
  readonly maxStreams?: number;
  /** Of one message; a larger one ends the stream. Default: what the transport takes, so that the handler can refuse it. */
  readonly maxBytes?: number;
}

/** The server's half of what ts-proto makes of a method. */
export type Method<Req, Res> = Pick<
  MethodDefinition<Req, Res>,
  'path' | 'requestDeserialize' | 'responseSerialize'
>;

export interface Call {
  readonly signal: AbortSignal;
}

export interface UnaryCall extends Call {
  /** Before the answer, at most once. */
  sendMetadata(metadata: Metadata): void;
}

export interface ResponseStream<Res> extends Call {
  /**
   * Resolves when HTTP/2 flow control has taken the message, so that one message at most waits for a
   * slow reader. Rejects once the signal has aborted.
   */
  write(message: Res): Promise<void>;
}

export interface RouterOptions {
  readonly log: Logger;
  /** Aborts with a Fault when streams must end. */
  readonly stopping: AbortSignal;
  readonly callers: Callers;
  /** Calls under way at once, of each unary method. Default 1024. */
  readonly maxCalls?: number;
  /** Open streams at once, of each streaming method. Default 64. */
  readonly maxStreams?: number;
  /** A unary call ends by then, whatever its caller's deadline. Default 30 s. */
  readonly callTimeoutMs?: number;
}

/** A report is below 2 KiB; nothing that clients send in one call is large, but batches, whose service bounds them. */
const MAX_REQUEST_BYTES = 64 * 1024;

type Received<Req> = { readonly message: Req } | { readonly problem: Fault };

export const createRouter = (server: Server, options: RouterOptions): Router => {
  const { log, stopping, callers } = options;
  const { maxCalls = 1024, maxStreams = 64, callTimeoutMs = 30_000 } = options;

  const fail = (path: string, error: unknown) => {
    if (!isFault(error)) log.error({ path, error }, 'call failed');
    return statusFromError(error);
  };

  const stream = async <Req, Res>(
    call: ServerWritableStream<Received<Req>, Res> | ServerDuplexStream<Received<Req>, Res>,
    slots: Slots,
    stop: AbortSignal,
    run: (stream: ResponseStream<Res>) => Promise<void>,
  ): Promise<void> => {
    const lifetime = streamLifetime(call, stop);
    call.on('error', () => {
      // Also in place once the handler is through: a late error of the transport has no one else to go to.
    });
    const release = slots.take();
    let close: (() => void) | null = null;
    let written: Promise<void> = Promise.resolve();
    try {
      callers.admit(call.getPeer());
      if (release === null) throw tooMany('streams of this method', slots.max);
      close = callers.openStream(call.getPeer(), call.getPath());
      await run({
        signal: lifetime.signal,
        write: (message) => {
          written = write(call, lifetime.signal, message);
          return written;
        },
      });
      if (!call.cancelled) call.end();
    } catch (error) {
      const failure = fail(call.getPath(), error);
      const tell = (): void => {
        if (!call.cancelled) call.emit('error', failure);
      };
      // An error that comes while a message is on its way out has the stream's iterator destroy it, and the peer would
      // never get the status. A peer that does not read gets it once it does.
      written.then(tell, tell);
    } finally {
      close?.();
      release?.();
      lifetime.end();
    }
  };

  return {
    unary: (method, handle, maxBytes) => {
      const slots = createSlots(maxCalls);
      type Req = Parameters<typeof handle>[0];
      type Res = Awaited<ReturnType<typeof handle>>;
      const serve = async (
        call: ServerUnaryCall<Received<Req>, Res>,
        reply: sendUnaryData<Res>,
      ): Promise<void> => {
        const release = slots.take();
        const lifetime = callLifetime(call, callTimeoutMs);
        try {
          callers.admit(call.getPeer());
          if (release === null) throw tooMany('calls of this method', maxCalls);
          const answer = handle(opened(call.request), {
            signal: lifetime.signal,
            sendMetadata: (metadata) => call.sendMetadata(metadata),
          });
          reply(null, await lifetime.race(answer));
        } catch (error) {
          reply(fail(call.getPath(), error));
        } finally {
          release?.();
          lifetime.end();
        }
      };
      server.register(
        method.path,
        serve,
        method.responseSerialize,
        receive(method, maxBytes),
        'unary',
      );
    },

    serverStream: (method, handle, maxBytes) => {
      const slots = createSlots(maxStreams);
      type Req = Parameters<typeof handle>[0];
      type Message = Parameters<Parameters<typeof handle>[1]['write']>[0];
      const serve = (call: ServerWritableStream<Received<Req>, Message>): void =>
        void stream(call, slots, stopping, async (responses) =>
          handle(opened(call.request), responses),
        );
      server.register(
        method.path,
        serve,
        method.responseSerialize,
        receive(method, maxBytes),
        'serverStream',
      );
    },

    bidi: (method, handle, own = {}) => {
      const slots = createSlots(own.maxStreams ?? maxStreams);
      type Req = Parameters<typeof handle>[0] extends AsyncIterable<infer R> ? R : never;
      type Message = Parameters<Parameters<typeof handle>[1]['write']>[0];
      const serve = (call: ServerDuplexStream<Received<Req>, Message>): void =>
        void stream(call, slots, NEVER, (responses) =>
          handle(requests<Req>(call, stopping), responses),
        );
      server.register(
        method.path,
        serve,
        method.responseSerialize,
        receive(method, own.maxBytes ?? Number.POSITIVE_INFINITY),
        'bidi',
      );
    },
  };
};

/** What bidi handlers get as requests ends at the stop; their answers do not. */
const NEVER = new AbortController().signal;
// Each open bidi stream listens to it.
setMaxListeners(0, NEVER);

/** grpc-js hides why a message could not be decoded; so decoding never throws, and the handler tells. */
const receive =
  <Req, Res>(method: Method<Req, Res>, maxBytes = MAX_REQUEST_BYTES) =>
  (bytes: Buffer): Received<Req> => {
    if (bytes.length > maxBytes) return { problem: tooLarge(bytes.length, maxBytes) };
    try {
      return { message: method.requestDeserialize(bytes) };
    } catch (error) {
      return { problem: malformed(error instanceof Error ? error.message : String(error)) };
    }
  };

const opened = <Req>(received: Received<Req>): Req => {
  if ('message' in received) return received.message;
  throw received.problem;
};

const malformed = (why: string): Fault =>
  new Fault(
    'INVALID_ARGUMENT',
    'MALFORMED_MESSAGE',
    `The request is no valid message of this method's type: ${why}`,
  );

const tooLarge = (bytes: number, maxBytes: number): Fault =>
  new Fault(
    'RESOURCE_EXHAUSTED',
    'MESSAGE_TOO_LARGE',
    `The request has ${bytes} bytes, at most ${maxBytes} are taken`,
    { metadata: { limitBytes: String(maxBytes) } },
  );

async function* requests<Req>(
  call: ServerDuplexStream<Received<Req>, never>,
  stopping: AbortSignal,
): AsyncGenerator<Req> {
  // Plain iteration would destroy the stream at the end of the requests, before its status is sent.
  const iterator = call.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  let fail: (reason: unknown) => void = () => undefined;
  const onStop = (): void => fail(stopping.reason);
  stopping.addEventListener('abort', onStop, { once: true });
  // Not Promise.race with one promise for the whole stream: that would keep every message that ever came.
  const nextOrStop = (): Promise<IteratorResult<Received<Req>>> =>
    new Promise((resolve, reject) => {
      iterator.next().then(resolve, reject);
      fail = reject;
      if (stopping.aborted) onStop();
    });
  try {
    for (;;) {
      const next = await nextOrStop();
      if (next.done === true) return;
      yield opened<Req>(next.value);
    }
  } finally {
    stopping.removeEventListener('abort', onStop);
  }
}

const write = <Req, Res>(
  call: ServerWritableStream<Req, Res> | ServerDuplexStream<Req, Res>,
  signal: AbortSignal,
  message: Res,
): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    // Written behind the end it would keep grpc-js from ever sending the status.
    if (call.writableEnded) return reject(cancelled());
    // The callback alone is not enough: grpc-js forgets it when the call was cancelled.
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    call.write(message, (error: Error | null | undefined) => {
      signal.removeEventListener('abort', onAbort);
      if (error) reject(cancelled());
      else resolve();
    });
  });
