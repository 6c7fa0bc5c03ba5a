import {
  AgentServiceService,
  type AttachRequest,
  type AttachResponse,
} from '../gen/vmwarden/v1/agent_service.js';
import { Fault, isFault } from '../lib/fault.js';
import { withDeadline } from '../lib/with-deadline.js';
import type { AgentDesk } from '../vmm/attach.js';
import { createAgentOutbox } from './agent-outbox.js';
import { helloFromRequest, messageFromRequest } from './agent-request.js';
import { responseFromMessage } from './agent-response.js';
import type { ResponseStream, Router } from './router.js';

/** Streams that have not become one of the VMs' agents: those being refused, or replaced. */
const SPARE_STREAMS = 64;
/** A whole batch of events takes some 12 KiB. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** An agent that has opened its stream says hello by then. */
const HELLO_TIMEOUT_MS = 10_000;

/** An agent that has closed its half of the stream reads by then what was said to it. */
const LAST_WORDS_MS = 5_000;
const CLOSED = new Fault('CANCELLED', 'CALL_CANCELLED', 'The stream has ended');

export interface AgentServiceOptions {
  readonly helloTimeoutMs?: number;
}

/** Brings agents' streams to the desk: one message at a time, read only when the one before has been taken. */
export const registerAgentService = (
  router: Router,
  desk: AgentDesk,
  { helloTimeoutMs = HELLO_TIMEOUT_MS }: AgentServiceOptions = {},
): void => {
  const serve = async (
    requests: AsyncIterable<AttachRequest>,
    stream: ResponseStream<AttachResponse>,
  ): Promise<void> => {
    const outbox = createAgentOutbox((message) => stream.write(responseFromMessage(message)));
    const onAbort = (): void => outbox.end(stream.signal.reason);
    if (stream.signal.aborted) onAbort();
    else stream.signal.addEventListener('abort', onAbort, { once: true });
    const messages = requests[Symbol.asyncIterator]();
    const next = async (): Promise<AttachRequest | null> => {
      const { done, value } = await outbox.or(messages.next());
      return done === true ? null : value;
    };

    const first = await helloInTime(next, helloTimeoutMs);
    if (first === null) return;
    const hello = helloFromRequest(first);
    const attachment = desk.attach(hello, outbox);
    let reason = 'it closed its stream';
    try {
      for (let request = await next(); request !== null; request = await next()) {
        await outbox.or(attachment.take(messageFromRequest(request, hello)));
      }
      // What it was owed by now, if it still reads.
      attachment.gone(reason);
      await withDeadline(LAST_WORDS_MS, outbox.close());
    } catch (error) {
      reason = isFault(error) ? error.message : 'its stream broke';
      throw error;
    } finally {
      // Nothing may be written behind the status: grpc-js would then never send it.
      outbox.end(CLOSED);
      attachment.gone(reason);
      stream.signal.removeEventListener('abort', onAbort);
    }
  };
  router.bidi(AgentServiceService.attach, serve, {
    maxStreams: desk.size + SPARE_STREAMS,
    maxBytes: MAX_MESSAGE_BYTES,
  });
};

const helloInTime = async (
  next: () => Promise<AttachRequest | null>,
  timeoutMs: number,
): Promise<AttachRequest | null> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new Fault(
            'DEADLINE_EXCEEDED',
            'HELLO_EXPECTED',
            `No hello came within ${timeoutMs} ms of the stream's beginning`,
          ),
        ),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([next(), late]);
  } finally {
    clearTimeout(timer);
  }
};
