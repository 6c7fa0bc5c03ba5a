import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../lib/logger.js';
import type { HealthBoard } from '../server/health-board.js';

export interface ProbesOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly health: Pick<HealthBoard, 'current' | 'up' | 'degraded'>;
  readonly metrics: { readonly contentType: string; scrape(): Promise<string> };
  readonly log: Logger;
  readonly limits?: Partial<ProbesLimits>;
}

export interface ProbesLimits {
  /** Connections at once; further ones are closed unanswered. Default 64. */
  readonly maxConnections: number;
  /** A connection's whole life. Default 10 s. */
  readonly connectionMs: number;
  /** Between tries to have the address. Default 5 s. */
  readonly retryMs: number;
}

export interface Probes {
  /** null: the address can't be had so far. */
  readonly port: number | null;
  /** Cuts what is open. Idempotent. */
  stop(): Promise<void>;
}

const DEFAULTS: ProbesLimits = { maxConnections: 64, connectionMs: 10_000, retryMs: 5_000 };
const MAX_HEADER_BYTES = 8 * 1024;
const PART = 'metrics';

/**
 * Serves /livez, /readyz and /metrics. An address that can't be had is no reason to leave the guests alone: it is told
 * as degraded health, and tried again.
 */
export const startProbes = async (options: ProbesOptions): Promise<Probes> => {
  const { host, port, health, log } = options;
  const limits = { ...DEFAULTS, ...options.limits };
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: limits.connectionMs,
      requestTimeout: limits.connectionMs,
      // Slow connections are cut by their own timers below, so that none has to tick while nobody is connected.
      connectionsCheckingInterval: 2 ** 31 - 1,
    },
    (request, response) => void answer(options, request, response),
  );
  server.maxConnections = limits.maxConnections;
  server.maxRequestsPerSocket = 1;
  server.on('connection', (socket) => {
    const cut = setTimeout(() => socket.destroy(), limits.connectionMs);
    socket.once('close', () => clearTimeout(cut));
  });

  let stopped = false;
  let retry: NodeJS.Timeout | undefined;
  let told = '';
  const tryToListen = async (): Promise<void> => {
    const trouble = await listen(server, host, port);
    if (stopped) return;
    if (trouble === null) {
      health.up(PART);
      return log.info({ address: host, port: portOf(server) }, 'probes and metrics are served');
    }
    const why = `${host} port ${port} can't be had: ${trouble}`;
    health.degraded(PART, why);
    if (why !== told) {
      log.warn({ address: host, port, reason: trouble }, 'no probes and metrics; tried again');
    }
    told = why;
    retry = setTimeout(() => void tryToListen(), limits.retryMs);
    retry.unref();
  };
  await tryToListen();

  return {
    get port() {
      return portOf(server);
    },
    stop: async () => {
      stopped = true;
      clearTimeout(retry);
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
};

/** null: it listens; else why not. */
const listen = (server: Server, host: string, port: number): Promise<string | null> =>
  new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      // What goes wrong with accepting later (no descriptors left) passes by itself.
      server.on('error', () => undefined);
      resolve(null);
    });
  });

const portOf = (server: Server): number | null => {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : null;
};

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TEXT = 'text/plain; charset=utf-8';

const answer = async (
  options: ProbesOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const { status, text, headers } = await answerTo(options, request);
  const body = Buffer.from(text);
  response.writeHead(status, {
    'content-type': TEXT,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    connection: 'close',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
};

const answerTo = async (
  { health, metrics, log }: ProbesOptions,
  { method, url = '' }: IncomingMessage,
): Promise<Answer> => {
  const path = url.split('?', 1)[0] ?? '';
  if (!PATHS.includes(path)) {
    return { status: 404, text: `not found; here are ${PATHS.join(', ')}\n` };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, text: 'only GET and HEAD\n', headers: { allow: 'GET, HEAD' } };
  }
  if (path === '/livez') return { status: 200, text: 'ok\n' };
  if (path === '/readyz') return readiness(health.current());
  try {
    return {
      status: 200,
      text: await metrics.scrape(),
      headers: { 'content-type': metrics.contentType },
    };
  } catch (error) {
    log.error({ error }, 'a scrape failed');
    return { status: 500, text: 'the scrape failed; the log says why\n' };
  }
};

const PATHS: readonly string[] = ['/livez', '/readyz', '/metrics'];
const MAX_REASONS = 64;
const MAX_REASON = 512;

const readiness = (now: {
  readonly serving: boolean;
  readonly detail: readonly string[];
}): Answer => {
  const shown = now.detail.slice(0, MAX_REASONS);
  const omitted = now.detail.length - shown.length;
  const lines = [
    now.serving ? 'ready' : 'not ready',
    // Reasons carry what VMMs and files said: each stays one line.
    ...shown.map((reason) => reason.slice(0, MAX_REASON).replace(/[\p{Cc}\u2028\u2029]/gu, ' ')),
    ...(omitted > 0 ? [`and ${omitted} more`] : []),
  ];
  return { status: now.serving ? 200 : 503, text: `${lines.join('\n')}\n` };
};
