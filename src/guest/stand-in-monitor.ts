import net from 'node:net';
import type { StandInDump } from './stand-in-dump.js';
import { type Actions, Refusal, type StandInMachine } from './stand-in-machine.js';

const MAX_LINE = 64 * 1024;

type Message = Record<string, unknown>;
type Handler = (args: Message) => unknown;

const VERSION = { qemu: { major: 7, minor: 2, micro: 22 }, package: 'vmwarden stand-in' };

/** The commands, as QEMU 7.2 answers them. */
export const monitorCommands = (
  machine: StandInMachine,
  dump: StandInDump,
  threadId: number,
): Readonly<Record<string, Handler>> => ({
  'query-version': () => VERSION,
  'query-status': () => ({
    status: machine.status,
    singlestep: false,
    running: machine.running,
  }),
  'query-cpus-fast': () => [
    { 'cpu-index': 0, 'qom-path': '/machine/unattached/device[0]', 'thread-id': threadId },
  ],
  'query-migrate': () => ({}),
  'query-dump': () => ({ ...dump.progress }),
  'query-dump-guest-memory-capability': () => ({ formats: dump.formats }),
  'set-action': (args) => {
    for (const key of Object.keys(machine.actions)) {
      if (typeof args[key] === 'string') machine.actions[key as keyof Actions] = args[key];
    }
    return {};
  },
  cont: acts(() => machine.cont()),
  stop: acts(() => machine.stop()),
  system_reset: acts(() => machine.reset()),
  system_powerdown: acts(() => machine.powerdown()),
  system_wakeup: acts(() => machine.wakeup()),
  // The firmware has no handler that one would see anything of.
  'inject-nmi': acts(() => undefined),
  quit: acts(() => machine.quit()),
  'dump-guest-memory': async (args) => {
    await dump.begin(args);
    return {};
  },
});

/** A command that answers nothing but that it was carried out. */
const acts = (act: () => void): Handler => {
  return () => {
    act();
    return {};
  };
};

/** One QMP socket: one client at a time; a second is taken when the first has left. */
export class StandInMonitor {
  readonly #commands: Readonly<Record<string, Handler>>;
  readonly #server: net.Server;
  readonly #queue: net.Socket[] = [];
  #client: net.Socket | null = null;
  #negotiated = false;
  /** Commands are carried out one after the other, in the order in which they came. */
  #turn: Promise<void> = Promise.resolve();

  constructor(commands: Readonly<Record<string, Handler>>) {
    this.#commands = commands;
    this.#server = net.createServer((socket) => {
      socket.on('error', () => socket.destroy());
      this.#queue.push(socket);
      this.#serveNext();
    });
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, resolve);
    });
  }

  emit(event: string, data?: Message): void {
    if (!this.#negotiated) return;
    const now = Date.now();
    this.#send({
      timestamp: { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 },
      event,
      ...(data && { data }),
    });
  }

  /** Resolves when what was written has been handed to the client. */
  close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#queue) socket.destroy();
    const client = this.#client;
    if (client === null) return Promise.resolve();
    return new Promise((resolve) => client.end(resolve));
  }

  #serveNext(): void {
    if (this.#client !== null) return;
    const socket = this.#queue.shift();
    if (socket === undefined) return;
    if (socket.destroyed) {
      this.#serveNext();
      return;
    }
    this.#client = socket;
    this.#negotiated = false;
    socket.once('close', () => {
      this.#client = null;
      this.#negotiated = false;
      this.#serveNext();
    });
    this.#send({ QMP: { version: VERSION, capabilities: ['oob'] } });
    let held = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (held + text).split('\n');
      held = lines.pop() ?? '';
      if (held.length > MAX_LINE) socket.destroy();
      for (const line of lines) {
        if (line.trim() !== '') this.#turn = this.#turn.then(() => this.#answer(socket, line));
      }
    });
  }

  async #answer(socket: net.Socket, line: string): Promise<void> {
    if (socket !== this.#client) return;
    let id: unknown;
    try {
      const command = JSON.parse(line) as Message;
      id = command['id'];
      const value = await this.#run(String(command['execute']), command['arguments']);
      this.#send({ return: value, ...(id !== undefined && { id }) });
    } catch (error) {
      const known = error instanceof Refusal;
      const described = known
        ? { class: error.errorClass, desc: error.message }
        : { class: 'GenericError', desc: 'JSON parse error' };
      this.#send({ error: described, ...(id !== undefined && { id }) });
    }
  }

  #run(name: string, args: unknown): unknown {
    if (name === 'qmp_capabilities') {
      if (this.#negotiated) {
        const text = 'Capabilities negotiation is already complete, command ignored';
        throw new Refusal('CommandNotFound', text);
      }
      this.#negotiated = true;
      return {};
    }
    if (!this.#negotiated) {
      const text = "Expecting capabilities negotiation with 'qmp_capabilities'";
      throw new Refusal('CommandNotFound', text);
    }
    const handler = this.#commands[name];
    if (handler === undefined) {
      throw new Refusal('CommandNotFound', `The command ${name} has not been found`);
    }
    return handler(typeof args === 'object' && args !== null ? (args as Message) : {});
  }

  #send(message: Message): void {
    this.#client?.write(`${JSON.stringify(message)}\r\n`);
  }
}
