import { rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { connectQmp } from '../../../src/vmm/qemu/connection.js';
import { endedByPeer, socketFault } from '../../../src/vmm/qemu/errors.js';
import { startStandIn, tempDir, watch } from '../../support/qemu-rig.js';
import { answerLikeQemu, GREETING, onCommands, startPeer } from '../../support/qmp-peer.js';
import { waitFor } from '../../support/wait-for.js';

const QUICK = { connectTimeoutMs: 150, commandTimeoutMs: 150, maxLineBytes: 4096 };

it('takes a monitor whose queue is full for held by another, not for a connection that its QEMU ended', () => {
  const fault = socketFault(Object.assign(new Error('connect'), { code: 'EAGAIN' }), '/run/a.qmp');
  expect(fault.reason).toBe('SOCKET_BUSY');
  expect(fault.message).toMatch(/^\/run\/a[.]qmp takes no more connections: another client holds/);
  expect(endedByPeer(fault)).toBe(false);
});

describe('a socket with no good QEMU behind it', () => {
  const cases: readonly [string, Parameters<typeof startPeer>[0], RegExp][] = [
    [
      'speaks HTTP',
      (peer) => peer.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /does not speak QMP: it began with "HTTP/,
    ],
    [
      'sends random bytes',
      (peer) => peer.write(Buffer.from([0xff, 0, 0x1b, 0x0a])),
      /does not speak QMP.*\\x/,
    ],
    ['says nothing', () => undefined, /sent no QMP greeting in 150 ms: another client/],
    [
      'stops in the middle of its greeting',
      (peer) => peer.write(GREETING.slice(0, 20)),
      /no QMP greeting/,
    ],
    [
      'sends a line without end',
      (peer) => peer.write('x'.repeat(100_000)),
      /a line of more than 4096 bytes/,
    ],
    ['closes at once', (peer) => peer.end(), /was closed by its QEMU/],
    [
      'dies after its greeting',
      (peer) => {
        peer.write(GREETING);
        peer.end();
      },
      /was closed|broke/,
    ],
    [
      'greets and is silent then',
      (peer) => peer.write(GREETING),
      /did not answer qmp_capabilities.* in 150 ms/,
    ],
    [
      'answers with garbage',
      (peer) => {
        peer.write(GREETING);
        onCommands(peer, () => peer.write('{"return": {}, \r\n'));
      },
      /sent what is not QMP: "{/,
    ],
    [
      'answers with what nobody asked',
      (peer) => {
        peer.write(GREETING);
        onCommands(peer, () => peer.write('{"return": {}, "id": "other"}\r\n'));
      },
      /sent what is not QMP/,
    ],
    [
      'answers in another form',
      (peer) => answerLikeQemu(peer, { 'query-status': [] }),
      /answered query-status in a form unknown/,
    ],
    [
      'has no vCPU',
      (peer) => answerLikeQemu(peer, { 'query-cpus-fast': [] }),
      /answered query-cpus-fast in a form unknown/,
    ],
  ];
  it.each(cases)('%s: told once, tried again, at a slowing pace', async (_name, serve, reason) => {
    const peer = await startPeer(serve);
    const vm = watch(peer.socket, { tuning: { ...QUICK, backoffBaseMs: 4, backoffMaxMs: 16 } });
    expect((await vm.disconnected()).reason).toMatch(reason);
    await waitFor('two more attempts', () => peer.connections() >= 3);
    const kinds = new Set(vm.sightings.map((one) => one.kind));
    expect([...kinds]).toEqual(['disconnected']);
    expect(await vm.driver.restart(vm.act())).toMatchObject({
      kind: 'failed',
      reason: 'NOT_CONNECTED',
      message: expect.stringMatching(reason),
    });
    await expect(vm.driver.inspect(new AbortController().signal)).rejects.toThrow(reason);
  });

  it('is missing, no socket, or too long for one: each says so', async () => {
    const dir = await tempDir();
    const missing = watch(path.join(dir, 'missing'));
    expect((await missing.disconnected()).reason).toMatch(/there is no socket/);
    const file = path.join(dir, 'file');
    await writeFile(file, '');
    expect((await watch(file).disconnected()).reason).toMatch(
      /nothing listens|not a stream socket/,
    );
    const long = watch(path.join(dir, 'x'.repeat(200)));
    expect((await long.disconnected()).reason).toMatch(/107 bytes/);
  });

  it('waits longer and longer, and less than its limit', async () => {
    const peer = await startPeer((client) => client.destroy());
    watch(peer.socket, { tuning: { backoffBaseMs: 10, backoffMaxMs: 80 } });
    await waitFor('eight attempts', () => peer.connections() >= 8);
    const gaps = peer.times.slice(1).map((time, index) => time - (peer.times[index] ?? 0));
    // Base 10, doubled, less up to half: at least 5, 10, 20, 40; no timer runs out early.
    expect(Math.min(...gaps.slice(-2))).toBeGreaterThan(30);
  });

  const answered = (client: Socket, then: () => void): void => {
    answerLikeQemu(client);
    onCommands(client, ({ execute }) => {
      if (execute === 'query-status') then();
    });
  };

  it.each<[string, (client: Socket) => void]>([
    ['closes', (client) => client.end()],
    ['talks garbage', (client) => client.write('}{\r\n')],
  ])('answers, and then %s each time: at a slowing pace, too', async (_name, then) => {
    const peer = await startPeer((client) => answered(client, () => then(client)));
    const vm = watch(peer.socket, { tuning: { backoffBaseMs: 10, backoffMaxMs: 80 } });
    await waitFor('eight connections', () => peer.connections() >= 8);
    const gaps = peer.times.slice(1).map((time, index) => time - (peer.times[index] ?? 0));
    expect(Math.min(...gaps.slice(-2))).toBeGreaterThan(30);
    await vm.stop();
    // A pair for each connection, and not one more.
    const kinds = vm.sightings.map((one) => one.kind);
    expect(kinds.length).toBeLessThanOrEqual(2 * peer.connections());
    expect(vm.told()).toEqual([]);
  });

  it('is connected to again at once where a connection ended for the first time', async () => {
    const peer = await startPeer((client, nth) =>
      answered(client, () => {
        if (nth === 1) client.end();
      }),
    );
    const vm = watch(peer.socket, { tuning: { backoffBaseMs: 60_000, backoffMaxMs: 60_000 } });
    await vm.connected();
    await vm.disconnected();
    await vm.connected();
  });

  it('vanishes, and no /proc shows its process: gone only where it was it that ended the connection', async () => {
    const held: Socket[] = [];
    const hold = (client: Socket): void => {
      held.push(client);
      answerLikeQemu(client);
    };
    const ended = await startPeer(hold);
    const vm = watch(ended.socket);
    const { bootId } = (await vm.connected()).inspection;
    await rm(ended.socket);
    held[0]?.end();
    await vm.event('VMM_EXITED');

    const garbled = await startPeer(hold);
    const second = watch(garbled.socket);
    await second.connected();
    await rm(garbled.socket);
    held[1]?.write('}{\r\n');
    expect((await second.disconnected()).reason).toMatch(/not QMP/);
    expect((await second.disconnected()).reason).toMatch(/has ended can not be seen from here/);

    const later = watch(ended.socket, { lastSeen: { bootId, state: 'running' } });
    expect((await later.disconnected()).reason).toMatch(/has ended can not be seen from here/);
    expect([...second.told(), ...later.told()]).toEqual([]);
  });

  it('says that another client holds the monitor, and gets it when that one leaves', async () => {
    const guest = await startStandIn();
    const first = watch(guest.qmpSocket);
    await first.connected();
    const second = watch(guest.qmpSocket, { tuning: { connectTimeoutMs: 100 } });
    expect((await second.disconnected()).reason).toMatch(/another client holds this monitor/);
    await first.stop();
    await second.connected();
  });
});

describe('a QEMU that goes wrong later', () => {
  it('hangs in the middle of a line: the act ends at its deadline', async () => {
    const peer = await startPeer((client) =>
      answerLikeQemu(client, {}, () => client.write('{"return": {"status": "run')),
    );
    const vm = watch(peer.socket, { tuning: QUICK });
    await vm.connected();
    expect(await vm.driver.restart(vm.act())).toMatchObject({
      kind: 'failed',
      reason: 'VMM_SILENT',
    });
    await expect(vm.driver.inspect(new AbortController().signal)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('never answers: not more than eight commands are in flight, and then it is left', async () => {
    let commands = 0;
    const peer = await startPeer((client) =>
      answerLikeQemu(client, {}, () => {
        commands += 1;
      }),
    );
    const vm = watch(peer.socket, { tuning: { ...QUICK, backoffMaxMs: 20 } });
    await vm.connected();
    const { signal } = new AbortController();
    const asked = Array.from({ length: 6 }, () =>
      vm.driver.inspect(signal).catch(() => 'no answer'),
    );
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['no answer']));
    expect(commands).toBeLessThanOrEqual(8);
    expect((await vm.disconnected()).reason).toMatch(/as many commands unanswered/);
    await vm.connected();
  });

  it('sends garbage in the middle: dropped and connected to again', async () => {
    const peer = await startPeer((client, nth) => {
      answerLikeQemu(client);
      if (nth === 1) setTimeout(() => client.write('}{\r\n'), 20);
    });
    const vm = watch(peer.socket);
    await vm.connected();
    expect((await vm.disconnected()).reason).toMatch(/not QMP/);
    expect(await vm.connected()).toMatchObject({ inspection: { boots: 1 } });
    expect(vm.told()).toEqual([]);
  });

  it('refuses the reset, or turns it into a shutdown: a failure that says so', async () => {
    let mode = 'refuse';
    const peer = await startPeer((client) =>
      answerLikeQemu(
        client,
        { 'query-status': { status: 'guest-panicked' } },
        ({ execute, id }) => {
          const write = (message: object): unknown =>
            client.write(`${JSON.stringify(message)}\r\n`);
          if (execute === 'query-status') write({ id, return: { status: 'guest-panicked' } });
          else if (execute !== 'system_reset') write({ id, return: {} });
          else if (mode === 'refuse') write({ id, error: { class: 'GenericError', desc: 'no' } });
          else {
            const data = { guest: false, reason: 'host-qmp-system-reset' };
            write({ event: 'SHUTDOWN', data, timestamp: { seconds: 1, microseconds: 0 } });
            write({ id, return: {} });
          }
        },
      ),
    );
    const vm = watch(peer.socket);
    await vm.event('CRASH');
    expect(await vm.driver.restart(vm.act())).toMatchObject({
      kind: 'failed',
      reason: 'QMP_REFUSED',
      message: 'QEMU refused system_reset: GenericError: no',
    });
    mode = 'shutdown';
    expect(await vm.driver.restart(vm.act())).toMatchObject({
      kind: 'failed',
      reason: 'RESET_REFUSED',
    });
  });

  it('does not keep a cancelled connect alive', async () => {
    const peer = await startPeer(() => undefined);
    const stop = new AbortController();
    const connecting = connectQmp({
      socket: peer.socket,
      signal: stop.signal,
      timeoutMs: 60_000,
      maxLineBytes: 1024,
      onEvent: () => undefined,
    });
    stop.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
