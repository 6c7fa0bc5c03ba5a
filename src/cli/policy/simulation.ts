import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import {
  PolicyServiceClient,
  type SimulatePolicyRequest,
  type SimulatePolicyResponse,
  type SimulationSummary,
} from '../../gen/vmwarden/v1/policy_service.js';
import { Fault } from '../../lib/fault.js';
import type { Policy } from '../../policy/policy.js';
import { faultOf } from '../grpc-client.js';
import type { Io } from '../io.js';
import { listens } from '../listens.js';
import { createProgress } from '../progress.js';

export interface SimulationAsked {
  readonly policy: Policy;
  readonly base: Policy | null;
  /** The same as texts, sinceMs as a time: for a running vmwarden. */
  readonly request: SimulatePolicyRequest;
}

export interface Place {
  readonly socket: string;
  readonly dataDir: string;
  /** Of the configured VMs. Default: none. */
  readonly labels?: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

type Told = Exclude<NonNullable<SimulatePolicyResponse['message']>['$case'], 'progress'>;
export type ToldMessage = Extract<NonNullable<SimulatePolicyResponse['message']>, { $case: Told }>;

/**
 * Simulates over the journal of the vmwarden that runs here, by its PolicyService, or over the one that it left behind.
 * Shows progress; `tell` gets all else, the summary last. Faults: those of the service, or of the journal's reader.
 */
export const simulation = async (
  io: Io,
  place: Place,
  asked: SimulationAsked,
  json: boolean,
  tell: (message: ToldMessage) => Promise<void>,
): Promise<SimulationSummary> => {
  const progress = createProgress(io, 'simulating', json);
  const messages = (await listens(place.socket))
    ? served(place.socket, asked.request)
    : offline(place, asked);
  let summary: SimulationSummary | null = null;
  try {
    for await (const { message } of messages) {
      if (message === undefined) continue;
      if (message.$case === 'progress') {
        progress.show(Number(message.value.records), Number(message.value.totalRecords));
        continue;
      }
      progress.clear();
      if (message.$case === 'summary') summary = message.value;
      await tell(message);
    }
  } finally {
    progress.clear();
  }
  if (summary !== null) return summary;
  throw new Fault('UNAVAILABLE', 'SIMULATION_CUT_OFF', 'The simulation ended before its summary');
};

/** A server says at least each few hundred milliseconds how far it is. */
const SILENCE_MS = 45_000;

async function* served(
  socket: string,
  request: SimulatePolicyRequest,
): AsyncGenerator<SimulatePolicyResponse> {
  const client = new PolicyServiceClient(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  const stream = client.simulatePolicy(request);
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    stream.cancel();
  }, SILENCE_MS);
  try {
    for await (const message of stream) {
      timer.refresh();
      yield message;
      timer.refresh();
    }
  } catch (error) {
    throw silent
      ? new Fault('DEADLINE_EXCEEDED', 'SERVER_SILENT', `No word for ${SILENCE_MS / 1000} s`)
      : faultOf(error);
  } finally {
    clearTimeout(timer);
    stream.cancel();
    client.close();
  }
}

async function* offline(
  { dataDir, labels }: Place,
  { policy, base, request }: SimulationAsked,
): AsyncGenerator<SimulatePolicyResponse> {
  const { openLmdbReader } = await import('../../journal/lmdb/lmdb-reader.js');
  const { simulate } = await import('../../engine/replay/simulate.js');
  const reader = await openLmdbReader({ dir: join(dataDir, 'journal') });
  try {
    yield* simulate(reader, {
      policy,
      base,
      sinceMs: request.since?.getTime() ?? null,
      detail: request.detail,
      vmIds: request.vmIds,
      ...(labels !== undefined && { labels }),
      // Signals are heard, and the progress bar is written.
      breathe: () => new Promise((resolve) => setImmediate(resolve)),
    });
  } finally {
    await reader.close();
  }
}
