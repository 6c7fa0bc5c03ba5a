import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import {
  HealthCheckRequest,
  type HealthCheckResponse,
  HealthClient,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/gen/grpc/health/v1/health.js';
import { HEALTH_DETAIL_KEY } from '../../src/server/health.js';
import { createHealthBoard } from '../../src/server/health-board.js';
import { outcomeOf, startTestServer, type TestServer } from '../support/grpc-server.js';
import { waitFor } from '../support/wait-for.js';

const check = (server: TestServer, service = '') => {
  const client = server.client(HealthClient);
  return outcomeOf<HealthCheckResponse>((callback) => client.check({ service }, callback));
};

describe('the health board', () => {
  test('is out of service until each part that is needed is up', () => {
    const board = createHealthBoard(['journal', 'engine']);
    expect(board.current()).toEqual({
      serving: false,
      detail: ['journal: is starting', 'engine: is starting'],
    });
    board.up('journal');
    expect(board.current().serving).toBe(false);
    board.up('engine');
    expect(board.current()).toEqual({ serving: true, detail: [] });
  });

  test('a degraded part is told, and does not stop the service', () => {
    const board = createHealthBoard(['journal']);
    board.up('journal');
    board.degraded('policy', 'policy.yaml:3:1: no such step');
    board.degraded('journal', 'the disk is nearly full');
    expect(board.current()).toEqual({
      serving: true,
      detail: ['journal: the disk is nearly full', 'policy: policy.yaml:3:1: no such step'],
    });
  });

  test('a part that is not needed may be down', () => {
    const board = createHealthBoard(['journal']);
    board.up('journal');
    board.down('bus', 'unreachable');
    expect(board.current()).toEqual({ serving: true, detail: ['bus: unreachable'] });
  });

  test('tells changes, and only changes, to those who still listen', () => {
    const board = createHealthBoard(['journal']);
    const told: boolean[] = [];
    const stop = board.onChange(({ serving }) => told.push(serving));
    board.up('journal');
    board.up('journal');
    board.down('journal', 'gone');
    stop();
    board.up('journal');
    expect(told).toEqual([true, false]);
  });
});

describe('grpc.health.v1', () => {
  test('serves while the parts are up, for the server and for each service', async () => {
    const server = await startTestServer();
    for (const service of ['', 'vmwarden.v1.EventService', 'vmwarden.v1.VmService']) {
      expect((await check(server, service)).response.status).toBe(ServingStatus.SERVING);
    }
    server.health.down('journal', 'the disk is gone');
    expect((await check(server)).response.status).toBe(ServingStatus.NOT_SERVING);
  });

  test('does not know a service that is not there', async () => {
    const server = await startTestServer();
    expect((await check(server, 'x')).error?.code).toBe(status.NOT_FOUND);
  });

  test('tells in metadata what is degraded', async () => {
    const server = await startTestServer();
    server.health.degraded('policy', 'line 3 – no');
    const client = server.client(HealthClient);
    const detail = await new Promise((resolve) => {
      client
        .check(HealthCheckRequest.create(), () => undefined)
        .on('metadata', (metadata) => resolve(metadata.get(HEALTH_DETAIL_KEY).map(String)));
    });
    expect(detail).toEqual(['policy: line 3 – no']);
  });

  test('Watch tells the status now and each change', async () => {
    const server = await startTestServer();
    const seen: ServingStatus[] = [];
    const stream = server.client(HealthClient).watch({ service: '' });
    stream.on('error', () => undefined);
    stream.on('data', ({ status: now }: HealthCheckResponse) => seen.push(now));
    await waitFor('SERVING', () => seen.length === 1);
    server.health.degraded('policy', 'no change of status');
    server.health.down('journal', 'gone');
    await waitFor('NOT_SERVING', () => seen.length === 2);
    expect(seen).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
    stream.cancel();
  });

  test('Watch of an unknown service says so and stays', async () => {
    const server = await startTestServer();
    const stream = server.client(HealthClient).watch({ service: 'x' });
    stream.on('error', () => undefined);
    const first = await new Promise<HealthCheckResponse>((resolve) => stream.once('data', resolve));
    expect(first.status).toBe(ServingStatus.SERVICE_UNKNOWN);
    stream.cancel();
  });
});
