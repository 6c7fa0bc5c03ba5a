import {
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from '@grpc/grpc-js';
import type { Logger } from '../lib/logger.js';

/** One debug line for each call when it ends: method, status, milliseconds. `onCall` is told the same, for who counts. */
export const accessLog =
  (log: Logger, onCall?: (path: string, code: string) => void): ServerInterceptor =>
  (method, call) => {
    const startedAt = performance.now();
    let ended = false;
    const end = (code: status) => {
      if (ended) return;
      ended = true;
      const ms = Math.round((performance.now() - startedAt) * 1000) / 1000;
      log.debug({ path: method.path, status: status[code], ms }, 'call ended');
      onCall?.(method.path, status[code] ?? 'UNKNOWN');
    };
    const listener = new ServerListenerBuilder().withOnCancel(() => end(status.CANCELLED)).build();
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder()
        .withStart((next) => next(listener))
        .withSendStatus((sent, next) => {
          end(sent.code ?? status.UNKNOWN);
          next(sent);
        })
        .build(),
    );
  };
