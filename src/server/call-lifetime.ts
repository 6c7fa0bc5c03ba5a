import { Fault } from '../lib/fault.js';

/** Emits `cancelled` when the caller goes away and when its deadline passes. */
interface Cancellable {
  once(event: 'cancelled', listener: () => void): unknown;
}

/** Ends with its caller, or when the server stops. */
export const streamLifetime = (call: Cancellable, stopping: AbortSignal) => {
  const controller = new AbortController();
  const onStop = () => controller.abort(stopping.reason);
  call.once('cancelled', () => controller.abort(cancelled()));
  if (stopping.aborted) onStop();
  else stopping.addEventListener('abort', onStop, { once: true });
  return {
    signal: controller.signal,
    end: () => stopping.removeEventListener('abort', onStop),
  };
};

/** Ends with its caller, or after `timeoutMs`. */
export const callLifetime = (call: Cancellable, timeoutMs: number) => {
  const controller = new AbortController();
  const { signal } = controller;
  call.once('cancelled', () => controller.abort(cancelled()));
  const timer = setTimeout(
    () =>
      controller.abort(
        new Fault(
          'DEADLINE_EXCEEDED',
          'CALL_TIMEOUT',
          `Not answered within ${timeoutMs / 1000} s; what was asked for may still happen`,
        ),
      ),
    timeoutMs,
  );
  return {
    signal,
    race: <T>(work: Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        work.then(resolve, reject);
      }),
    end: () => clearTimeout(timer),
  };
};

export const cancelled = (): Fault =>
  new Fault('CANCELLED', 'CALL_CANCELLED', 'The caller went away or its deadline passed');
