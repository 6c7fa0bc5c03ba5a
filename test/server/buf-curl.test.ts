import { execFile } from 'node:child_process';
import { expect, test } from 'vitest';
import { BadRequest, ErrorInfo } from '../../src/gen/google/rpc/error_details.js';
import { vmView } from '../support/fake-engine.js';
import { startTestServer } from '../support/grpc-server.js';
import { describePart, partPath } from '../support/parts.js';

interface Result {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A client that shares no code with the server, and learns its types by reflection. */
const bufCurl = (socket: string, args: readonly string[]): Promise<Result> =>
  new Promise((resolve) => {
    execFile(
      partPath('buf'),
      ['curl', '--protocol', 'grpc', '--http2-prior-knowledge', '--unix-socket', socket, ...args],
      { timeout: 20_000 },
      (error, stdout, stderr) => resolve({ exitCode: error === null ? 0 : 1, stdout, stderr }),
    );
  });

const url = (method = '') => `http://localhost/${method}`;

const event = {
  vmId: 'web-1',
  requestId: 'r-1',
  raw: { arch: 'x86_64', capability: 'CAPABILITY_PRESENT', fields: { type: 3, ndata: 0 } },
};

describePart('buf', 'buf curl', () => {
  test('lists services and methods by reflection', async () => {
    const { socket } = await startTestServer();
    const services = await bufCurl(socket, ['--list-services', url()]);
    expect(services.stdout.trim().split('\n').sort()).toEqual([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'vmwarden.v1.AgentService',
      'vmwarden.v1.EventService',
      'vmwarden.v1.PolicyService',
      'vmwarden.v1.VmService',
    ]);
    const methods = await bufCurl(socket, ['--list-methods', url()]);
    expect(methods.stdout).toContain('vmwarden.v1.EventService/ReportEvent');
    expect(methods.exitCode).toBe(0);
  });

  test('reports an event', async () => {
    const { socket, journal } = await startTestServer();
    const result = await bufCurl(socket, [
      '--data',
      JSON.stringify(event),
      url('vmwarden.v1.EventService/ReportEvent'),
    ]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({
      journalId: journal.id,
      sequence: '1',
      disposition: 'DISPOSITION_DECIDED',
      event: { type: 'EVENT_TYPE_CRASH', rawType: 3 },
    });
  });

  test('gets typed details of an error', async () => {
    const { socket } = await startTestServer();
    const result = await bufCurl(socket, [
      '--data',
      JSON.stringify({ ...event, vmId: 'no/slash' }),
      url('vmwarden.v1.EventService/ReportEvent'),
    ]);
    expect(result.exitCode).toBe(1);
    const { code, details } = JSON.parse(result.stderr);
    expect(code).toBe('invalid_argument');
    const value = (type: string): Buffer =>
      Buffer.from(details.find((detail: { type: string }) => detail.type === type).value, 'base64');
    expect(ErrorInfo.decode(value('google.rpc.ErrorInfo'))).toMatchObject({
      reason: 'INVALID_FIELDS',
      domain: 'vmwarden.dev',
    });
    expect(BadRequest.decode(value('google.rpc.BadRequest')).fieldViolations).toMatchObject([
      { field: 'vm_id' },
    ]);
  });

  test('streams records', async () => {
    const { socket, engine } = await startTestServer();
    for (const vm of ['a', 'b']) {
      await engine.report({
        vm,
        uid: '',
        event: {
          type: 'CRASH',
          rawType: 3,
          data: [],
          detail: { kind: 'none' },
          anomalies: [],
          capability: 'present',
          arch: 'x86_64',
        },
        origin: 'kernel',
        initiator: 'guest',
        bootId: null,
        key: null,
        occurredAtMs: null,
        reconciled: false,
      });
    }
    const result = await bufCurl(socket, [
      '--data',
      '{"untilNewest":true}',
      url('vmwarden.v1.EventService/WatchRecords'),
    ]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({
      records: [
        { sequence: '1', record: { vmId: 'a', event: { event: { type: 'EVENT_TYPE_CRASH' } } } },
        { sequence: '2', record: { vmId: 'b' } },
      ],
      scannedSequence: '2',
    });
  });

  test('reports batches in a stream, and pages through what they left', async () => {
    const { socket } = await startTestServer();
    const batches = [1, 2].map((batchId) => ({ batchId, reports: [event, { vmId: 'no/slash' }] }));
    const reported = await bufCurl(socket, [
      '--data',
      batches.map((batch) => JSON.stringify(batch)).join('\n'),
      url('vmwarden.v1.EventService/ReportEvents'),
    ]);
    expect(reported).toMatchObject({ exitCode: 0, stderr: '' });
    const acks = reported.stdout.trim().split('\n{').length;
    expect(acks).toBe(2);
    expect(reported.stdout).toContain('"code": 3');
    const listed = await bufCurl(socket, [
      '--data',
      '{"pageSize":1,"orderBy":"sequence desc","kinds":["event"]}',
      url('vmwarden.v1.EventService/ListRecords'),
    ]);
    expect(JSON.parse(listed.stdout)).toMatchObject({ records: [{ sequence: '2' }] });
    const got = await bufCurl(socket, [
      '--data',
      '{"sequence":1}',
      url('vmwarden.v1.EventService/GetRecord'),
    ]);
    expect(JSON.parse(got.stdout)).toMatchObject({ record: { record: { vmId: 'web-1' } } });
  });

  test('asks for health, and for VMs page by page', async () => {
    const { socket } = await startTestServer({ vms: ['a', 'b', 'c'].map((id) => vmView(id)) });
    const health = await bufCurl(socket, ['--data', '{}', url('grpc.health.v1.Health/Check')]);
    expect(JSON.parse(health.stdout)).toEqual({ status: 'SERVING' });
    const list = async (request: object) => {
      const { stdout } = await bufCurl(socket, [
        '--data',
        JSON.stringify(request),
        url('vmwarden.v1.VmService/ListVms'),
      ]);
      return JSON.parse(stdout);
    };
    const first = await list({ pageSize: 2 });
    expect(first).toMatchObject({ vms: [{ id: 'a' }, { id: 'b' }], nextPageToken: 'b' });
    const second = await list({ pageSize: 2, pageToken: first.nextPageToken });
    expect(second).toMatchObject({ vms: [{ id: 'c' }] });
    expect(second.nextPageToken).toBeUndefined();
  });
});
