import net from 'node:net';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { tempDir } from './qemu-rig.js';

export const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}\r\n';

export interface Peer {
  readonly socket: string;
  /** Connections so far. */
  connections(): number;
  /** When each was made, by performance.now(). */
  readonly times: readonly number[];
}

/** Something that is no QEMU, on a socket where one should be. */
export const startPeer = async (
  serve: (client: net.Socket, nth: number) => void,
): Promise<Peer> => {
  const socket = path.join(await tempDir(), 'qmp');
  const times: number[] = [];
  const clients = new Set<net.Socket>();
  const server = net.createServer((client) => {
    times.push(performance.now());
    clients.add(client);
    client.on('error', () => client.destroy());
    client.on('close', () => clients.delete(client));
    serve(client, times.length);
  });
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  onTestFinished(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  return { socket, connections: () => times.length, times };
};

type Command = { readonly execute: string; readonly id: unknown };

/** Calls back with each command that the client sends. */
export const onCommands = (client: net.Socket, take: (command: Command) => void): void => {
  let held = '';
  client.setEncoding('utf8').on('data', (text: string) => {
    const lines = (held + text).split('\n');
    held = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') take(JSON.parse(line) as Command);
  });
};

const ANSWERS: Readonly<Record<string, unknown>> = {
  'query-status': { status: 'running', singlestep: false, running: true },
  'query-cpus-fast': [{ 'cpu-index': 0, 'thread-id': 1 }],
  'query-migrate': {},
  'query-dump': { status: 'none', completed: 0, total: 0 },
};

/** A QEMU that answers what is asked at connect; `otherwise` gets the rest. */
export const answerLikeQemu = (
  client: net.Socket,
  changes: Readonly<Record<string, unknown>> = {},
  otherwise: (command: Command) => void = () => undefined,
): void => {
  client.write(GREETING);
  let connecting = true;
  onCommands(client, (command) => {
    const answers: Readonly<Record<string, unknown>> = { ...ANSWERS, ...changes };
    if (!connecting) otherwise(command);
    else {
      client.write(
        `${JSON.stringify({ id: command.id, return: answers[command.execute] ?? {} })}\r\n`,
      );
    }
    if (command.execute === 'query-status') connecting = false;
  });
};
