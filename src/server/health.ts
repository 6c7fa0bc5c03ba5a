import { Metadata } from '@grpc/grpc-js';
import {
  HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../gen/grpc/health/v1/health.js';
import { Fault } from '../lib/fault.js';
import { quoted } from './field-check.js';
import type { HealthView } from './health-board.js';
import type { Router } from './router.js';

/** Metadata of every answer: what is wrong, one `part: reason` each, UTF-8. */
export const HEALTH_DETAIL_KEY = 'vmwarden-health-detail-bin';

const MAX_DETAILS = 8;
const MAX_DETAIL = 256;

/** grpc.health.v1: SERVING, for the server ("") and for each of `services`, while the parts it needs are up. */
export const registerHealth = (
  router: Router,
  health: HealthView,
  services: readonly string[],
): void => {
  const known = new Set(['', ...services]);
  const status = () =>
    health.current().serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;

  router.unary(HealthService.check, async ({ service }, call) => {
    if (!known.has(service)) {
      throw new Fault('NOT_FOUND', 'SERVICE_UNKNOWN', `There is no service ${quoted(service)}`);
    }
    call.sendMetadata(detailMetadata(health));
    return { status: status() };
  });

  router.serverStream(HealthService.watch, async ({ service }, stream) => {
    if (!known.has(service)) {
      await stream.write({ status: ServingStatus.SERVICE_UNKNOWN });
      await aborted(stream.signal);
      stream.signal.throwIfAborted();
      return;
    }
    let wake: (() => void) | null = null;
    const onAbort = () => wake?.();
    const stopListening = health.onChange(() => wake?.());
    stream.signal.addEventListener('abort', onAbort, { once: true });
    try {
      // Only the latest status matters: changes while one is on its way are told once.
      for (let sent: ServingStatus | null = null; ; ) {
        const now = status();
        if (now !== sent) {
          sent = now;
          await stream.write({ status: now });
          continue;
        }
        stream.signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      stopListening();
      stream.signal.removeEventListener('abort', onAbort);
    }
  });
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

const detailMetadata = (health: HealthView): Metadata => {
  const metadata = new Metadata();
  for (const detail of health.current().detail.slice(0, MAX_DETAILS)) {
    metadata.add(HEALTH_DETAIL_KEY, Buffer.from(detail.slice(0, MAX_DETAIL)));
  }
  return metadata;
};
