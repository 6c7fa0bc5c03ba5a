import { Fault } from '../lib/fault.js';
import type { ToAgent } from '../vmm/attach.js';

/** Messages that wait for an agent to read; what is asked for is one at a time, so this is never much. */
const MAX_WAITING = 128;

/** Writes to an agent in order, without ever waiting for it. */
export interface AgentOutbox {
  send(message: ToAgent): void;
  /** Ends the stream; the first reason counts. */
  end(fault: Fault): void;
  /** Takes no more; resolves when what waits is written, or the stream has ended. */
  close(): Promise<void>;
  /** Waits for the work; rejects with the Fault by which the stream ends, should that come first. One at a time. */
  or<T>(work: Promise<T>): Promise<T>;
}

export const createAgentOutbox = (write: (message: ToAgent) => Promise<void>): AgentOutbox => {
  const waiting: ToAgent[] = [];
  let writing = false;
  let over: { readonly error: unknown } | null = null;
  let closed = false;
  let onDrained = (): void => undefined;
  let onEnd: (error: unknown) => void = () => undefined;

  const end = (error: unknown): void => {
    over ??= { error };
    waiting.length = 0;
    onEnd(over.error);
    onDrained();
  };
  const drain = async (): Promise<void> => {
    writing = true;
    try {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        await write(next);
      }
    } catch (error) {
      end(error);
    } finally {
      writing = false;
      onDrained();
    }
  };
  return {
    end,
    close: () =>
      new Promise((resolve) => {
        closed = true;
        onDrained = resolve;
        if (!writing || over !== null) resolve();
      }),
    // Not Promise.race with one promise for the whole stream: that would keep every message that ever came.
    or: (work) =>
      new Promise((resolve, reject) => {
        work.then(resolve, reject);
        if (over === null) onEnd = reject;
        else reject(over.error);
      }),
    send: (message) => {
      if (over !== null || closed) return;
      // Only the last of them matters, as long as none of them refuses anything.
      const last = waiting.at(-1);
      if (last?.kind === 'eventsAck' && message.kind === 'eventsAck' && last.refused.length === 0) {
        waiting.pop();
      }
      waiting.push(message);
      if (waiting.length > MAX_WAITING) end(notReading());
      else if (!writing) void drain();
    },
  };
};

const notReading = (): Fault =>
  new Fault(
    'RESOURCE_EXHAUSTED',
    'AGENT_NOT_READING',
    `${MAX_WAITING} messages wait for the agent, which reads none of them`,
    { retryAfterMs: 1000 },
  );
