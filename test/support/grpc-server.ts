import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  credentials,
  type ServiceError,
} from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import type { VmView } from '../../src/engine/engine.js';
import { BadRequest, ErrorInfo, RetryInfo } from '../../src/gen/google/rpc/error_details.js';
import { Status } from '../../src/gen/google/rpc/status.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import type { Logger } from '../../src/lib/logger.js';
import { observePolicy } from '../../src/policy/observe-policy.js';
import {
  type RunningServer,
  type ServerOptions,
  startServer,
} from '../../src/server/create-server.js';
import { createHealthBoard, type HealthBoard } from '../../src/server/health-board.js';
import { createFakeEngine, type FakeEngine } from './fake-engine.js';

export interface TestServer {
  readonly socket: string;
  readonly running: RunningServer;
  readonly journal: MemoryJournal;
  readonly engine: FakeEngine;
  readonly health: HealthBoard;
  /** A client of the service; closed when the test ends. */
  client<T extends Client>(
    service: new (address: string, credentials: ChannelCredentials, options?: ClientOptions) => T,
    options?: ClientOptions,
  ): T;
}

/** A real server on a private unix socket, with a journal in memory; stopped when the test ends. */
export const startTestServer = async (
  options: Partial<ServerOptions> & { readonly vms?: readonly VmView[] } = {},
): Promise<TestServer> => {
  const folder = await privateFolder();
  const socket = join(folder, 's');
  const journal = new MemoryJournal();
  const engine = createFakeEngine(options.journal ?? journal, options.vms);
  const health = createHealthBoard(['journal', 'engine']);
  health.up('journal');
  health.up('engine');
  const running = await startServer({
    socket,
    umask: process.umask,
    engine,
    journal,
    health,
    log: silentLog,
    policies: {
      status: () => ({
        policy: observePolicy(),
        source: '',
        text: '',
        loadedAtMs: 0,
        warnings: [],
        broken: null,
      }),
    },
    ...options,
  });
  onTestFinished(() => running.stop(0));
  return {
    socket,
    running,
    journal,
    engine,
    health,
    client: (service, clientOptions) => {
      // Without its own pool a client would share its connection with those of other tests.
      const client = new service(running.address, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
        ...clientOptions,
      });
      onTestFinished(() => client.close());
      return client;
    },
  };
};

/** Short, since a unix socket's path has 107 bytes at most; removed when the test ends. */
export const privateFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'vmw-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

const nothing = () => undefined;

export const silentLog: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLog,
};

/** Calls a unary method and answers what came of it, error or not. */
export const outcomeOf = <Res>(
  call: (callback: (error: ServiceError | null, response: Res) => void) => unknown,
): Promise<{ readonly error: ServiceError | null; readonly response: Res }> =>
  new Promise((resolve) => {
    call((error, response) => resolve({ error, response }));
  });

/** The typed details of a failed call. */
export const detailsOf = (error: ServiceError | null) => {
  const [bytes] = error?.metadata.get('grpc-status-details-bin') ?? [];
  const status = Status.decode(Buffer.from(bytes ?? ''));
  const find = (type: string) =>
    status.details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${type}`)
      ?.value;
  const info = find('ErrorInfo');
  const badRequest = find('BadRequest');
  const retry = find('RetryInfo');
  return {
    status,
    info: info === undefined ? null : ErrorInfo.decode(info),
    violations: badRequest === undefined ? [] : BadRequest.decode(badRequest).fieldViolations,
    retry: retry === undefined ? null : RetryInfo.decode(retry),
  };
};
