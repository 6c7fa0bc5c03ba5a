import { createServer, connect as dial, type Socket } from 'node:net';

/** Stands between a client and a server and does to their connections what networks do. */
export interface TcpProxy {
  readonly port: number;
  /** Where connections made from here on lead. */
  target(port: number): void;
  /** New connections are refused, those there are end at once. */
  cut(): void;
  /** What comes from this side stays here, unseen, until `mend`; nobody is told. */
  stall(from: 'client' | 'server' | 'both'): void;
  /** At most so many bytes each second in each direction; Infinity: as fast as it goes. */
  slow(bytesPerSecond: number): void;
  /** As if nothing had been. */
  mend(): void;
  /** Connections made so far. */
  readonly connections: number;
  close(): Promise<void>;
}

/** How often a slow line lets something through. */
const TICK_MS = 10;

export const startTcpProxy = async (targetPort: number): Promise<TcpProxy> => {
  let target = targetPort;
  let isCut = false;
  let rate = Number.POSITIVE_INFINITY;
  let connections = 0;
  const stalled = { client: false, server: false };
  const pipes = new Set<Pipe>();

  const server = createServer((client) => {
    if (isCut) return client.destroy();
    connections += 1;
    const upstream = dial({ port: target, host: '127.0.0.1' });
    const there = makePipe(
      client,
      upstream,
      () => stalled.client,
      () => rate,
    );
    const back = makePipe(
      upstream,
      client,
      () => stalled.server,
      () => rate,
    );
    pipes.add(there).add(back);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      pipes.delete(there);
      pipes.delete(back);
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    return undefined;
  });
  const timer = setInterval(() => {
    for (const pipe of pipes) pipe.move();
  }, TICK_MS);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const dropAll = (): void => {
    for (const { from } of pipes) from.destroy();
  };
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    target: (port) => {
      target = port;
    },
    cut: () => {
      isCut = true;
      dropAll();
    },
    stall: (from) => {
      stalled.client ||= from !== 'server';
      stalled.server ||= from !== 'client';
    },
    slow: (bytesPerSecond) => {
      rate = bytesPerSecond;
    },
    mend: () => {
      isCut = false;
      rate = Number.POSITIVE_INFINITY;
      stalled.client = false;
      stalled.server = false;
      for (const pipe of pipes) pipe.move();
    },
    get connections() {
      return connections;
    },
    close: async () => {
      clearInterval(timer);
      dropAll();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};

interface Pipe {
  readonly from: Socket;
  move(): void;
}

/** Holds at most what one side may have under way; then the other side's TCP feels it. */
const HELD_MAX = 64 * 1024;

const makePipe = (from: Socket, to: Socket, stalled: () => boolean, rate: () => number): Pipe => {
  let held: Buffer[] = [];
  let size = 0;
  const move = (): void => {
    if (stalled()) return;
    let allowed = Math.max(1, (rate() * TICK_MS) / 1000);
    while (held[0] !== undefined && allowed >= 1) {
      const [first] = held;
      const part = first.subarray(0, Math.min(first.length, allowed));
      to.write(part);
      allowed -= part.length;
      size -= part.length;
      if (part.length === first.length) held = held.slice(1);
      else held[0] = first.subarray(part.length);
    }
    if (size < HELD_MAX) from.resume();
  };
  from.on('data', (chunk: Buffer) => {
    held.push(chunk);
    size += chunk.length;
    if (size >= HELD_MAX) from.pause();
    if (rate() === Number.POSITIVE_INFINITY) move();
  });
  from.on('end', () => {
    if (!stalled()) to.end();
  });
  return { from, move };
};
