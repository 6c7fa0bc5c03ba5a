import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createHealthBoard } from '../../src/server/health-board.js';
import { type ProbesLimits, startProbes } from '../../src/telemetry/probes.js';
import { collectingLog, type LogLine } from '../support/metrics-app.js';
import { waitFor } from '../support/wait-for.js';

const start = async (limits: Partial<ProbesLimits> = {}, port = 0, text = 'a 1\n') => {
  const health = createHealthBoard(['journal', 'engine']);
  const lines: LogLine[] = [];
  const probes = await startProbes({
    host: '127.0.0.1',
    port,
    health,
    metrics: { contentType: 'text/plain; version=0.0.4', scrape: async () => text },
    log: collectingLog(lines),
    limits,
  });
  onTestFinished(() => probes.stop());
  return { probes, health, lines, port: probes.port ?? 0 };
};

interface Answered {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const ask = (port: number, path: string, method = 'GET', body = ''): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers }),
      );
    });
    asked.on('error', reject).end(body);
  });

const open = (port: number): { readonly socket: Socket; readonly closed: Promise<string> } => {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let received = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    received += part;
  });
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(received)));
  return { socket, closed };
};

test('readiness is the health board, with its reasons; liveness is not', async () => {
  const { port, health } = await start();
  expect(await ask(port, '/livez')).toMatchObject({ status: 200, text: 'ok\n' });
  const starting = await ask(port, '/readyz');
  expect(starting.status).toBe(503);
  expect(starting.text).toBe('not ready\njournal: is starting\nengine: is starting\n');
  health.up('journal');
  health.up('engine');
  expect(await ask(port, '/readyz')).toMatchObject({ status: 200, text: 'ready\n' });
  health.degraded('vm web-1', 'out of contact:\nHTTP/1.1 200\u2028forged');
  expect((await ask(port, '/readyz')).text).toBe(
    'ready\nvm web-1: out of contact: HTTP/1.1 200 forged\n',
  );
  for (let at = 0; at < 200; at += 1) health.degraded(`vm ${at}`, 'x'.repeat(10_000));
  const many = await ask(port, '/readyz');
  expect(many.text.length).toBeLessThan(64 * 600);
  expect(many.text).toContain('\nand 137 more\n');
  health.down('journal', 'gone');
  expect((await ask(port, '/readyz')).status).toBe(503);
});

test('only GET and HEAD of three paths are answered, one a connection', async () => {
  const { port } = await start();
  const scraped = await ask(port, '/metrics?name=x');
  expect(scraped).toMatchObject({ status: 200, text: 'a 1\n' });
  expect(scraped.headers).toMatchObject({
    'content-type': 'text/plain; version=0.0.4',
    connection: 'close',
    'x-content-type-options': 'nosniff',
  });
  const head = await ask(port, '/metrics', 'HEAD');
  expect(head).toMatchObject({ status: 200, text: '' });
  expect(head.headers['content-length']).toBe('4');
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) {
    const body = method.startsWith('P') ? 'body' : '';
    expect((await ask(port, '/metrics', method, body)).status, method).toBe(405);
  }
  for (const path of ['/', '/metrics/', '/metricsx', '/../metrics', '//metrics', '/%6detrics']) {
    expect((await ask(port, path)).status, path).toBe(404);
  }
  const { socket, closed } = open(port);
  socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
  expect((await closed).match(/HTTP\/1.1 200/g)).toHaveLength(1);
});

test('garbage and headers without end are refused, and nothing but their connection ends', async () => {
  const { port } = await start();
  for (const garbage of [
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'GET\r\n\r\n',
    'GET /metrics HTTP/9.9\r\n\r\n',
    'GET /metrics HTTP/1.1\r\ncontent-length: -1\r\n\r\n',
    `GET /metrics HTTP/1.1\r\nx: ${'y'.repeat(64 * 1024)}\r\n\r\n`,
    '\0'.repeat(1000),
  ]) {
    const { socket, closed } = open(port);
    socket.write(garbage);
    expect(await closed).toMatch(/^(HTTP\/1.1 4\d\d |$)/);
  }
  expect((await ask(port, '/livez')).status).toBe(200);
});

test('who sends or reads slowly is cut off', async () => {
  const big = `# ${'x'.repeat(32 * 1024 * 1024)}\n`;
  const { port } = await start({ connectionMs: 300 }, 0, big);
  const drips = open(port);
  const drip = setInterval(() => drips.socket.write('x: y\r\n'), 20);
  drips.socket.write('GET /livez HTTP/1.1\r\n');
  const silent = open(port);
  const slow = connect(port, '127.0.0.1');
  slow.on('error', () => undefined).pause();
  slow.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  const unfinished = open(port);
  unfinished.socket.write('POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n');
  await Promise.all([drips.closed, silent.closed, unfinished.closed]);
  clearInterval(drip);
  await waitFor('the slow reader is cut', () => {
    slow.read();
    return slow.destroyed || slow.readableEnded;
  });
  slow.destroy();
  expect((await ask(port, '/livez')).status).toBe(200);
});

test('more connections than the bound are closed, and free again when the others are cut', async () => {
  const { port } = await start({ maxConnections: 4, connectionMs: 1_500 });
  const held = Array.from({ length: 4 }, () => open(port));
  await waitFor('they are connected', () =>
    held.every(({ socket }) => socket.readyState === 'open'),
  );
  // Accepted in order, so the fifth finds four.
  const fifth = open(port);
  expect(await fifth.closed).toBe('');
  await Promise.all(held.map(({ closed }) => closed));
  await waitFor('there is room', async () => {
    const answer = await ask(port, '/livez').catch(() => null);
    return answer?.status === 200;
  });
});

test('an address that is taken degrades, and is had as soon as it is free', async () => {
  const first = await start();
  const second = await start({ retryMs: 20 }, first.port);
  expect(second.probes.port).toBe(null);
  expect(second.health.current().detail.join()).toContain(
    `metrics: 127.0.0.1 port ${first.port} can't be had: EADDRINUSE`,
  );
  await first.probes.stop();
  await waitFor('it is had', () => second.probes.port === first.port);
  expect((await ask(first.port, '/livez')).status).toBe(200);
  expect(second.health.current().detail.join()).not.toContain('metrics');
  const warned = second.lines.filter(({ level }) => level === 'warn');
  expect(warned.map(({ message }) => message)).toEqual(['no probes and metrics; tried again']);
});
