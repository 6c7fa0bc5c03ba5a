import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Engine } from '../engine/engine.js';
import { HealthService } from '../gen/grpc/health/v1/health.js';
import { ServerReflectionService } from '../gen/grpc/reflection/v1/reflection.js';
import { AgentServiceService } from '../gen/vmwarden/v1/agent_service.js';
import { EventServiceService } from '../gen/vmwarden/v1/event_service.js';
import { PolicyServiceService } from '../gen/vmwarden/v1/policy_service.js';
import { VmServiceService } from '../gen/vmwarden/v1/vm_service.js';
import type { Journal } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import type { Logger } from '../lib/logger.js';
import type { AgentDesk } from '../vmm/attach.js';
import { accessLog } from './access-log.js';
import { type AgentServiceOptions, registerAgentService } from './agent-service.js';
import { type CallerLimits, createCallers } from './callers.js';
import { registerEventService } from './event-service.js';
import { registerHealth } from './health.js';
import type { HealthView } from './health-board.js';
import { listenUnix, MAX_CONNECTIONS, type Umask } from './listen-unix.js';
import { type PolicyPorts, registerPolicyService } from './policy-service.js';
import type { VmLabels } from './record-filter.js';
import { registerReflection } from './reflection.js';
import { createRouter, type RouterOptions } from './router.js';
import { registerVmService } from './vm-service.js';

export interface ServerOptions {
  /** Path of the unix socket. Absolute, at most 107 bytes. */
  readonly socket: string;
  readonly umask: Umask;
  readonly engine: Engine;
  readonly journal: Journal;
  readonly health: HealthView;
  /** Where agents attach; absent: no VM takes one, and there is no such service. */
  readonly agents?: AgentDesk;
  readonly agentLimits?: AgentServiceOptions;
  readonly log: Logger;
  /** Told of each call as it ends. */
  readonly onCall?: (path: string, code: string) => void;
  readonly policies: PolicyPorts;
  readonly limits?: Partial<Pick<RouterOptions, 'maxCalls' | 'maxStreams' | 'callTimeoutMs'>>;
  readonly callerLimits?: Partial<CallerLimits>;
  /** Labels of the configuration's VMs, for filters. Default: none. */
  readonly labels?: VmLabels;
  /** Silence on a watch after which a heartbeat is sent. Default 15 s. */
  readonly heartbeatMs?: number;
  /** A connection on which no HTTP/2 frame has come by then is closed. Default 10 s. */
  readonly firstFrameMs?: number;
}

export interface RunningServer {
  /** What a gRPC client dials: `unix:/path`. */
  readonly address: string;
  /**
   * Takes no more calls, lets those under way end, tells streams UNAVAILABLE; what is still open after
   * `graceMs` is cut off. Resolves when nothing is open. Idempotent.
   */
  stop(graceMs: number): Promise<void>;
}

/**
 * Above it grpc-js ends the call, also a whole stream of batches. What a method takes is far less, and checked by the
 * router and by ReportEvents.
 */
const MAX_TRANSPORT_BYTES = 4 * 1024 * 1024;

/** The client's preface, and the header of the SETTINGS that has to follow it (RFC 9113, 3.4). */
const PREFACE_AND_FRAME_BYTES = 24 + 9;

const CALLER_LIMITS: CallerLimits = { callsPerSecond: 2_000, callsAtOnce: 4_000, streams: 32 };

/** Faults: those of `listenUnix`. */
export const startServer = async (options: ServerOptions): Promise<RunningServer> => {
  const { log, socket, heartbeatMs, firstFrameMs = 10_000 } = options;
  const stopping = new AbortController();
  // Each open stream listens to it; their number has a limit of its own.
  setMaxListeners(0, stopping.signal);
  const server = new Server({
    'grpc.max_receive_message_length': MAX_TRANSPORT_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': 1024,
    // A peer that is gone without a word is found out.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc-node.max_session_memory': 16,
    'grpc.enable_channelz': 0,
    interceptors: [accessLog(log, options.onCall)],
  });
  const callers = createCallers({ ...CALLER_LIMITS, ...options.callerLimits });
  const router = createRouter(server, {
    log,
    stopping: stopping.signal,
    callers,
    ...options.limits,
  });
  const labels = options.labels ?? new Map();
  registerEventService(router, options.engine, options.journal, {
    labels,
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
  });
  registerVmService(router, { engine: options.engine, journal: options.journal, labels });
  registerPolicyService(router, options.journal, options.policies, labels);
  if (options.agents !== undefined) {
    registerAgentService(router, options.agents, options.agentLimits);
  }
  registerHealth(router, options.health, SERVICES);
  registerReflection(router, SERVICES);

  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  let connections = 0;
  const inject = (connection: Socket): void => {
    connections += 1;
    const caller = `connection-${connections}`;
    // What grpc-js tells of a peer; of one on a unix socket it would say nothing.
    Object.defineProperty(connection, 'remoteAddress', { value: caller });
    // Keepalive finds out who falls silent later; before the first frame HTTP/2 itself would wait for ever.
    const silent = setTimeout(() => {
      if (connection.bytesRead < PREFACE_AND_FRAME_BYTES) connection.destroy();
    }, firstFrameMs);
    connection.once('close', () => {
      clearTimeout(silent);
      callers.forget(caller);
    });
    injector.injectConnection(connection);
  };
  // Each agent has a connection of its own.
  const maxConnections = MAX_CONNECTIONS + (options.agents?.size ?? 0);
  const listener = await listenUnix(socket, options.umask, inject, maxConnections);

  const stop = async (graceMs: number): Promise<void> => {
    stopping.abort(new Fault('UNAVAILABLE', 'STOPPING', 'vmwarden is stopping'));
    const closed = listener.close();
    // tryShutdown waits for streams whose peer reads no more, so it is not waited for beyond the grace.
    const cut = setTimeout(() => listener.destroyConnections(), graceMs);
    server.tryShutdown(() => undefined);
    await closed;
    clearTimeout(cut);
  };
  let stopped: Promise<void> | null = null;
  return {
    address: `unix:${socket}`,
    stop: (graceMs) => {
      stopped ??= stop(graceMs);
      return stopped;
    },
  };
};

const SERVICES = [
  EventServiceService.reportEvent.path,
  VmServiceService.listVms.path,
  PolicyServiceService.getPolicy.path,
  AgentServiceService.attach.path,
  HealthService.check.path,
  ServerReflectionService.serverReflectionInfo.path,
].map((path) => path.split('/')[1] ?? '');
