import { PassThrough } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { withClient } from '../../src/cli/grpc-client.js';
import { report } from '../../src/cli/report.js';
import { openReportStream } from '../../src/cli/report-stream.js';
import { EventServiceClient, ReportEventRequest } from '../../src/gen/vmwarden/v1/event_service.js';
import { engineBench } from '../support/engine-bench.js';
import { fakeIo } from '../support/fake-io.js';
import { startTestServer } from '../support/grpc-server.js';
import { waitFor } from '../support/wait-for.js';

const line = (part: object = {}): string =>
  JSON.stringify({ arch: 'x86_64', capSystemEventData: 1, rawHex: '0300000000000000', ...part });

describe('many lines', () => {
  test('go in batches over one stream, and each is answered in its place', async () => {
    const calls: string[] = [];
    const server = await startTestServer({ onCall: (path) => calls.push(path) });
    const lines = Array.from({ length: 500 }, (_, index) =>
      index % 50 === 7 ? '{x}' : index % 50 === 9 ? line({ rawHex: '03' }) : line(),
    );
    const io = fakeIo({ stdin: lines.join('\n') });
    const options = { vm: 'a', file: '-', json: true, requestId: 'r' };
    expect(await report(io, server.socket, options)).toBe(1);
    const answers = io.json();
    expect(answers.map((answer) => answer['line'])).toEqual(lines.map((_, index) => index + 1));
    for (const [index, answer] of answers.entries()) {
      const error = index % 50 === 7 ? 'BAD_INPUT' : index % 50 === 9 ? 'TRUNCATED' : undefined;
      expect(answer['error']).toBe(error);
    }
    const sequences = answers.flatMap(({ sequence }) => (sequence === undefined ? [] : [sequence]));
    expect(sequences).toEqual(Array.from({ length: 480 }, (_, index) => index + 1));
    expect(server.engine.reports[3]?.key).toEqual({ kind: 'request', requestId: 'r-4' });
    await waitFor('the end of the call', () => calls.length > 0);
    expect(calls).toEqual(['/vmwarden.v1.EventService/ReportEvents']);
  });

  test('of records as long as a line may be stay within what a batch may have', async () => {
    const server = await startTestServer();
    const long = line({ rawHex: `0300000000000000${'00'.repeat(32_000)}` });
    const io = fakeIo({ stdin: Array.from({ length: 40 }, () => long).join('\n') });
    expect(await report(io, server.socket, { vm: 'a', file: '-', json: true })).toBe(0);
    expect(server.engine.reports).toHaveLength(40);
  });

  test('above the rate of a VM none is refused, though each has an id to be known by', async () => {
    const made = await engineBench();
    const time = setInterval(() => made.clock.advance(100), 5);
    onTestFinished(async () => {
      clearInterval(time);
      await made.engine.stop(1000);
    });
    const { socket } = await startTestServer({ engine: made.engine, journal: made.journal });
    const io = fakeIo({ stdin: Array.from({ length: 200 }, () => line()).join('\n') });
    const options = { vm: 'reported', file: '-', json: true, requestId: 'r' };
    expect(await report(io, socket, options)).toBe(0);
    expect(io.json()).toHaveLength(200);
  });

  test('are answered as they come, without waiting for the end', async () => {
    const server = await startTestServer();
    const stdin = new PassThrough();
    const io = { ...fakeIo(), stdin };
    const done = report(io, server.socket, { vm: 'a', file: '-', json: true });
    for (const count of [1, 2]) {
      stdin.write(`${line()}\n`);
      await waitFor('the answer', () => io.json().length === count);
    }
    stdin.end();
    expect(await done).toBe(0);
  });

  test('that a stopping server does not take any more are told, and end the command', async () => {
    const server = await startTestServer();
    const stdin = new PassThrough();
    const io = { ...fakeIo(), stdin };
    const done = report(io, server.socket, { vm: 'a', file: '-', json: true });
    const rejected = expect(done).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    stdin.write(`${line()}\n`);
    await waitFor('the answer', () => io.json().length === 1);
    await server.running.stop(0);
    stdin.end(`${line()}\n${line()}\n`);
    await rejected;
    expect(io.json().slice(1)).toMatchObject([
      { line: 2, error: expect.any(String) },
      { line: 3, error: expect.any(String) },
    ]);
  });

  test('that are never acknowledged are given up', async () => {
    const server = await startTestServer();
    server.engine.answerWith(() => new Promise(() => undefined));
    await withClient(EventServiceClient, server.socket, async (client) => {
      const stream = openReportStream(client, 100);
      const report = { ...ReportEventRequest.create(), vmId: 'a' };
      const raw = { arch: 'x86_64', capability: 1, capabilityNumber: 0, abi: '' };
      const form = { $case: 'bytes' as const, value: { record: Buffer.alloc(8, 3), byteOrder: 1 } };
      const asked = stream.send([{ ...report, raw: { ...raw, form } }]);
      await expect(asked).rejects.toMatchObject({ reason: 'SERVER_SILENT' });
      expect(stream.ended()).toMatchObject({ reason: 'SERVER_SILENT' });
      await expect(stream.send([report])).rejects.toMatchObject({ reason: 'SERVER_SILENT' });
      stream.close();
    });
  });
});
