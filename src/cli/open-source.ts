import { credentials, Metadata } from '@grpc/grpc-js';
import {
  EventServiceClient,
  ListRecordsRequest,
  type ListRecordsResponse,
  WatchRecordsRequest,
  type WatchRecordsResponse,
} from '../gen/vmwarden/v1/event_service.js';
import {
  type ExplainVmResponse,
  type GetHostResponse,
  type Vm,
  VmServiceClient,
} from '../gen/vmwarden/v1/vm_service.js';
import { Fault } from '../lib/fault.js';
import { call, deadline, faultOf, withClient } from './grpc-client.js';
import { journalSource, type Labelled } from './journal-source.js';
import { listens } from './listens.js';
import {
  filterFields,
  type RecordFilter,
  type RecordQuery,
  type RecordSource,
  type Sequenced,
} from './record-source.js';

/** Over gRPC when something listens on the socket, else the journal read-only. Faults: those of the journal's reader. */
export const openSource = async (place: {
  readonly socket: string;
  readonly dataDir: string;
  /** Whose labels a journal does not have. Default: none. */
  readonly vms?: readonly Labelled[];
}): Promise<RecordSource> =>
  (await listens(place.socket))
    ? serverSource(place.socket)
    : journalSource(place.dataDir, place.socket, place.vms);

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
  hostHold: () =>
    withClient(VmServiceClient, socket, async (client) => {
      const { host } = await call<GetHostResponse>((callback) =>
        client.getHost({}, new Metadata(), deadline(), callback),
      );
      return host?.hold ?? null;
    }),
  explain: (vmId, incidentId) =>
    withClient(VmServiceClient, socket, (client) =>
      call<ExplainVmResponse>((callback) =>
        client.explainVm({ vmId, incidentId }, new Metadata(), deadline(), callback),
      ),
    ),
  newest: (filter, limit) => newest(socket, filter, limit),
  close: async () => undefined,
});

/** The newest records that the filter leaves, newest last. */
const newest = (
  socket: string,
  filter: RecordFilter,
  limit: number,
): Promise<readonly Sequenced[]> =>
  withClient(EventServiceClient, socket, async (client) => {
    const fields = filterFields(filter);
    const found: Sequenced[] = [];
    let pageToken = '';
    do {
      const page = await call<ListRecordsResponse>((callback) =>
        client.listRecords(
          {
            ...ListRecordsRequest.create(),
            pageToken,
            orderBy: 'sequence desc',
            pageSize: Math.min(1000, limit - found.length),
            ...fields,
          },
          new Metadata(),
          deadline(),
          callback,
        ),
      );
      for (const { sequence, record } of page.records) {
        if (record !== undefined) found.push({ sequence, record });
      }
      pageToken = found.length < limit ? page.nextPageToken : '';
    } while (pageToken !== '');
    return found.reverse();
  });

/** A server says at least each 15 s how far it is. */
const SILENCE_MS = 45_000;

async function* watch(socket: string, query: RecordQuery): AsyncGenerator<Sequenced> {
  const client = new EventServiceClient(`unix:${socket}`, credentials.createInsecure());
  const stream = client.watchRecords({
    ...WatchRecordsRequest.create(),
    afterSequence: query.after,
    newest: query.newest,
    ...filterFields(query),
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
