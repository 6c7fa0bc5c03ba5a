import { once } from 'node:events';
import { connect } from 'node:net';
import { connectivityState } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { HealthCheckRequest, HealthClient } from '../../src/gen/grpc/health/v1/health.js';
import { outcomeOf, startTestServer } from '../support/grpc-server.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

test.each([
  ['nothing', '', false],
  ['nothing, and closes its half', '', true],
  ['half of a preface', PREFACE.slice(0, 12), false],
  ['half of a preface, and closes its half', PREFACE.slice(0, 12), true],
  ['a preface without SETTINGS', PREFACE, false],
  ['a preface without SETTINGS, and closes its half', PREFACE, true],
])('a connection that sends %s is closed', async (_what, bytes, half) => {
  const server = await startTestServer({ firstFrameMs: 200 });
  const socket = connect({ path: server.socket });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  socket.resume();
  if (half) socket.end(bytes);
  else socket.write(bytes);
  await once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
});

test('a client that is connected and does nothing is kept', async () => {
  const server = await startTestServer({ firstFrameMs: 50 });
  const client = server.client(HealthClient);
  const check = () =>
    outcomeOf<unknown>((callback) => client.check(HealthCheckRequest.create(), callback));
  expect((await check()).error).toBeNull();
  const other = connect(server.socket);
  onTestFinished(() => void other.destroy());
  // One that came later and is silent is closed: so the turn of this one has been.
  other.resume();
  await once(other, 'close', { signal: AbortSignal.timeout(20_000) });
  expect(client.getChannel().getConnectivityState(false)).toBe(connectivityState.READY);
  expect((await check()).error).toBeNull();
});
