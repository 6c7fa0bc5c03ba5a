import type { Delivery, FleetItem } from '../../src/fleet/fleet.js';
import { openFleet } from '../../src/fleet/open-fleet.js';

/**
 * A consumer in a process of its own, to be killed: acks all but the records of the VM `holds`, and
 * prints `<what> <host> <sequence> <attempt>` for each that it was handed and each whose ack is durable.
 */
const [socket = '', fleetName = '', group = '', consumer = '', holds = ''] = process.argv.slice(2);
const fleet = openFleet({ url: socket, fleet: fleetName });

const say = (what: string, { host, sequence, attempt }: Delivery): void => {
  process.stdout.write(`${what} ${host} ${sequence} ${attempt}\n`);
};

const handle = async (item: FleetItem): Promise<void> => {
  if (item.kind !== 'record') return;
  say('handed', item);
  if (item.record.vmId === holds) return;
  await item.ack();
  say('acked', item);
};

for await (const item of fleet.consume({ group, consumer, takeoverAfterMs: 1000 })) {
  await handle(item);
}
