import { once } from 'node:events';
import { connect } from 'node:net';
import {
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { HealthService } from '../../src/gen/grpc/health/v1/health.js';
import { ServerReflectionService } from '../../src/gen/grpc/reflection/v1/reflection.js';
import { EventServiceService } from '../../src/gen/vmwarden/v1/event_service.js';
import { VmServiceService } from '../../src/gen/vmwarden/v1/vm_service.js';
import { startTestServer, type TestServer } from '../support/grpc-server.js';

const Raw = makeGenericClientConstructor({}, 'raw');

const rawClient = (server: TestServer) => {
  const client = new Raw(server.running.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  onTestFinished(() => client.close());
  const same = (bytes: Buffer) => bytes;
  const read = (stream: NodeJS.EventEmitter & { resume(): unknown; cancel(): void }) =>
    new Promise<status>((resolve) => {
      stream.on('error', () => undefined);
      stream.on('status', ({ code }) => resolve(code));
      stream.on('data', () => stream.cancel());
    });
  return {
    unary: (path: string, bytes: Buffer): Promise<ServiceError | null> =>
      new Promise((resolve) => {
        client.makeUnaryRequest(path, same, same, bytes, (error) => resolve(error));
      }),
    stream: (path: string, bytes: Buffer): Promise<status> =>
      read(client.makeServerStreamRequest(path, same, same, bytes)),
    bidi: (path: string, bytes: Buffer): Promise<status> => {
      const call = client.makeBidiStreamRequest(path, same, same);
      const code = read(call);
      call.write(bytes);
      call.end();
      return code;
    },
  };
};

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

test('any bytes as a request get a status, and the server goes on', async () => {
  // A watch that is in order has a heartbeat to show for it at once.
  const server = await startTestServer({ heartbeatMs: 1 });
  const client = rawClient(server);
  await fc.assert(
    fc.asyncProperty(bytes, async (request) => {
      for (const path of [
        EventServiceService.reportEvent.path,
        VmServiceService.listVms.path,
        VmServiceService.releaseVm.path,
        HealthService.check.path,
        '/vmwarden.v1.EventService/Nothing',
      ]) {
        const error = await client.unary(path, request);
        expect([status.UNKNOWN, status.INTERNAL]).not.toContain(error?.code);
      }
      const code = await client.stream(EventServiceService.watchRecords.path, request);
      expect([status.UNKNOWN, status.INTERNAL]).not.toContain(code);
      const reflected = await client.bidi(
        ServerReflectionService.serverReflectionInfo.path,
        request,
      );
      expect([status.UNKNOWN, status.INTERNAL]).not.toContain(reflected);
    }),
    { numRuns: 150 },
  );
  expect(await client.unary(HealthService.check.path, Buffer.alloc(0))).toBeNull();
});

test('a message that does not decode says so', async () => {
  const server = await startTestServer();
  const error = await rawClient(server).unary(
    EventServiceService.reportEvent.path,
    Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
  );
  expect(error?.code).toBe(status.INVALID_ARGUMENT);
  expect(error?.details).toContain('no valid message');
});

test('what is no HTTP/2 at all ends its connection and nothing else', async () => {
  const server = await startTestServer();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 24, maxLength: 200 }), async (garbage) => {
      const socket = connect(server.socket);
      socket.on('error', () => undefined);
      socket.resume();
      socket.end(garbage);
      await once(socket, 'close');
    }),
    { numRuns: 30 },
  );
  const error = await rawClient(server).unary(HealthService.check.path, Buffer.alloc(0));
  expect(error).toBeNull();
});
