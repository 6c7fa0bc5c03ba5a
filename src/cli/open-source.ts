import { connect } from 'node:net';
import { credentials, Metadata } from '@grpc/grpc-js';
import {
  EventServiceClient,
  WatchRecordsRequest,
  type WatchRecordsResponse,
} from '../gen/vmwarden/v1/event_service.js';
import { type Vm, VmServiceClient } from '../gen/vmwarden/v1/vm_service.js';
import { Fault } from '../lib/fault.js';
import { call, deadline, faultOf, withClient } from './grpc-client.js';
import { journalSource } from './journal-source.js';
import type { RecordQuery, RecordSource, Sequenced } from './record-source.js';

/** Over gRPC when something listens on the socket, else the journal read-only. Faults: those of the journal's reader. */
export const openSource = async (place: {
  readonly socket: string;
  readonly dataDir: string;
}): Promise<RecordSource> =>
  (await listens(place.socket))
    ? serverSource(place.socket)
    : journalSource(place.dataDir, place.socket);

const PROBE_TIMEOUT_MS = 2000;

export const listens = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const answer = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    const timer = setTimeout(() => answer(false), PROBE_TIMEOUT_MS);
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });

const serverSource = (socket: string): RecordSource => ({
  kind: 'server',
  records: (query) => watch(socket, query),
  vms: () =>
    withClient(VmServiceClient, socket, async (client) => {
      const vms: Vm[] = [];
      let pageToken = '';
      do {
        const page = await call<{ vms: Vm[]; nextPageToken: string }>((callback) =>
          client.listVms({ pageSize: 1000, pageToken }, new Metadata(), deadline(), callback),
        );
        vms.push(...page.vms);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      return vms;
    }),
  close: async () => undefined,
});

/** A server says at least each 15 s how far it is. */
const SILENCE_MS = 45_000;

async function* watch(socket: string, query: RecordQuery): AsyncGenerator<Sequenced> {
  const client = new EventServiceClient(`unix:${socket}`, credentials.createInsecure());
  const stream = client.watchRecords({
    ...WatchRecordsRequest.create(),
    afterSequence: query.after,
    newest: query.newest,
    vmIds: [...query.vms],
    kinds: [...query.kinds],
    untilNewest: !query.follow,
  });
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    stream.cancel();
  }, SILENCE_MS);
  try {
    for await (const message of stream) {
      timer.refresh();
      const { records }: WatchRecordsResponse = message;
      for (const { sequence, record } of records) {
        if (record !== undefined) yield { sequence, record };
      }
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
