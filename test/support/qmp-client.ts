import net from 'node:net';

type Message = Record<string, unknown>;

/** A bare QMP client with nothing of the driver's in it: the other monitor, as libvirt would hold it. */
export interface QmpClient {
  /** Sends a command; resolves with its `return`, rejects with its error. */
  run(execute: string, args?: Message): Promise<unknown>;
  /** The next event of that name, also one that came since the last call for it. */
  event(name: string, timeoutMs?: number): Promise<Message>;
  /** Names of all events so far. */
  events(): readonly string[];
  close(): void;
}

export const connectQmpClient = async (path: string): Promise<QmpClient> => {
  const socket = net.connect(path);
  const pending: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  const unread: Message[] = [];
  const names: string[] = [];
  const waiting = new Set<() => void>();
  let buffered = '';
  let greet: () => void = () => undefined;
  const greeting = new Promise<void>((resolve, reject) => {
    greet = resolve;
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${path} closed`)));
  });
  greeting.catch(() => undefined);
  const take = (message: Message): void => {
    if ('QMP' in message) greet();
    else if ('event' in message) {
      names.push(String(message['event']));
      unread.push(message);
      for (const look of [...waiting]) look();
    } else if ('error' in message) {
      pending.shift()?.reject(new Error(JSON.stringify(message['error'])));
    } else pending.shift()?.resolve(message['return']);
  };
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (buffered + chunk).split('\n');
    buffered = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') take(JSON.parse(line) as Message);
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    for (const command of pending.splice(0)) command.reject(new Error(`${path} closed`));
  });
  const run: QmpClient['run'] = (execute, args) =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(new Error(`${path} is closed`));
        return;
      }
      pending.push({ resolve, reject });
      socket.write(`${JSON.stringify({ execute, ...(args && { arguments: args }) })}\n`);
    });
  await greeting;
  await run('qmp_capabilities');
  return {
    run,
    event: (name, timeoutMs = 10_000) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const index = unread.findIndex((message) => message['event'] === name);
          if (index === -1) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(unread.splice(index, 1)[0] ?? {});
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`no ${name} in ${timeoutMs} ms, but: ${names.join(' ')}`));
        }, timeoutMs);
        waiting.add(look);
        look();
      }),
    events: () => names,
    close: () => socket.destroy(),
  };
};
