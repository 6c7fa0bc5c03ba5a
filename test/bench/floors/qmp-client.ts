import net from 'node:net';

/** The least that restarts a panicked guest: no inspection, no proof, no checks, nothing kept. */
export interface BareClient {
  /** Resolves at the next RESUME. */
  resumed(): Promise<void>;
  close(): void;
}

/**
 * A bare QMP client: on GUEST_PANICKED it calls `durable` (the bench makes an LMDB `transactionSync` of it), then
 * writes `system_reset` and `cont`. The floor of "guest panic → same guest running again". The QEMU must
 * have been started with `-action panic=pause`.
 */
export const connectBareClient = (socket: string, durable: () => void): Promise<BareClient> =>
  new Promise((resolve, reject) => {
    const waiting: (() => void)[] = [];
    const client = net.connect(socket);
    client.once('error', reject);
    client.setEncoding('utf8');
    let held = '';
    client.on('data', (text: string) => {
      const lines = (held + text).split('\n');
      held = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') continue;
        const message = JSON.parse(line) as { event?: string; QMP?: unknown; id?: unknown };
        if (message.event === 'GUEST_PANICKED') {
          durable();
          client.write('{"execute":"system_reset"}\n{"execute":"cont"}\n');
        } else if (message.event === 'RESUME') {
          for (const wake of waiting.splice(0)) wake();
        } else if (message.QMP !== undefined) {
          client.write('{"execute":"qmp_capabilities","id":0}\n');
        } else if (message.id === 0) {
          resolve({
            resumed: () =>
              new Promise((wake) => {
                waiting.push(wake);
              }),
            close: () => client.destroy(),
          });
        }
      }
    });
  });
