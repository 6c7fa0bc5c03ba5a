import { type Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  type HealthCheckResponse,
  HealthClient,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/gen/grpc/health/v1/health.js';
import {
  EventServiceClient,
  ReportEventRequest,
  type ReportEventResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { Contact, Phase } from '../../src/gen/vmwarden/v1/record.js';
import { Capability } from '../../src/gen/vmwarden/v1/system_event.js';
import {
  type ListVmsResponse,
  type Vm,
  VmServiceClient,
} from '../../src/gen/vmwarden/v1/vm_service.js';
import { HEALTH_DETAIL_KEY } from '../../src/server/health.js';
import { waitFor } from './wait-for.js';

const CALL_MS = 10_000;

/** One life as a gRPC client sees it. */
export interface LifeClient {
  readonly events: EventServiceClient;
  vm(id: string): Promise<Vm | undefined>;
  /** Resolves when the VM is connected, in this state, and nothing about it is open. */
  settled(id: string, state: string, withinMs?: number): Promise<Vm>;
  /** Reports a kernel's event with this one data word; default: a RESET, which no rule answers. */
  report(vm: string, requestId: string, word: bigint, type?: number): Promise<ReportEventResponse>;
  health(): Promise<{ readonly serving: boolean; readonly detail: readonly string[] }>;
  close(): void;
}

export const connectLife = (address: string): LifeClient => {
  // A pool of its own: a connection to the life before would be tried again with its back-off.
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const events = new EventServiceClient(address, credentials.createInsecure(), options);
  const vms = new VmServiceClient(address, credentials.createInsecure(), options);
  const health = new HealthClient(address, credentials.createInsecure(), options);
  const clients: readonly Client[] = [events, vms, health];
  const deadline = () => ({ deadline: Date.now() + CALL_MS });

  const client: LifeClient = {
    events,
    vm: async (id) => {
      const { vms: all } = await answer<ListVmsResponse>((done) =>
        vms.listVms({ pageSize: 1000, pageToken: '' }, new Metadata(), deadline(), done),
      );
      return all.find((vm) => vm.id === id);
    },
    settled: async (id, state, withinMs) => {
      let seen: Vm | undefined;
      const holds = async (): Promise<boolean> => {
        seen = await client.vm(id);
        return isSettled(seen, state);
      };
      await waitFor(`${id} is settled and ${state}`, holds, withinMs).catch((error: Error) => {
        throw new Error(`${error.message}, but ${JSON.stringify(seen, bigintText)}`);
      });
      if (seen === undefined) throw new Error(`${id} is not known`);
      return seen;
    },
    report: (vm, requestId, word, type = 2) =>
      answer((done) =>
        events.reportEvent(
          {
            ...ReportEventRequest.create(),
            vmId: vm,
            requestId,
            bootId: 'boot-1',
            raw: {
              arch: 'arm64',
              abi: '',
              capability: Capability.PRESENT,
              capabilityNumber: 215,
              form: {
                $case: 'fields',
                value: { type, ndata: 1, data: [word], flags: undefined },
              },
            },
          },
          new Metadata(),
          deadline(),
          done,
        ),
      ),
    health: async () => {
      let detail: readonly string[] = [];
      const { status } = await answer<HealthCheckResponse>((done) => {
        const call = health.check({ service: '' }, new Metadata(), deadline(), done);
        call.on('metadata', (metadata: Metadata) => {
          detail = metadata.get(HEALTH_DETAIL_KEY).map(String);
        });
      });
      return { serving: status === ServingStatus.SERVING, detail };
    },
    close: () => {
      for (const one of clients) one.close();
    },
  };
  return client;
};

const isSettled = (vm: Vm | undefined, state: string): boolean =>
  vm !== undefined &&
  vm.incidentId === '' &&
  vm.state?.contact === Contact.CONNECTED &&
  vm.state.phase === Phase.WELL &&
  vm.state.state === state;

const bigintText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;

const answer = <T>(
  call: (done: (error: ServiceError | null, response: T) => void) => unknown,
): Promise<T> =>
  new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
