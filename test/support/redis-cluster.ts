import { type RedisProcess, startRedisProcess } from './redis-process.js';
import { waitFor } from './wait-for.js';

/** Three masters, each with a third of the slots; the first has a replica. */
export interface RedisCluster {
  readonly masters: readonly RedisProcess[];
  readonly replica: RedisProcess;
  readonly all: readonly RedisProcess[];
  /** Moves a slot with all its keys to another node, as `redis-cli --cluster reshard` does. */
  moveSlot(slot: number, from: RedisProcess, to: RedisProcess): Promise<void>;
  end(): Promise<void>;
}

const SLOTS = 16_384;

export const startRedisCluster = async (): Promise<RedisCluster> => {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '500'];
  const all = await Promise.all([0, 1, 2, 3].map(() => startRedisProcess({ args })));
  const [first, , , replica] = all;
  const masters = all.slice(0, 3);
  if (first === undefined || replica === undefined) throw new Error('there are no nodes');
  for (const [index, { client }] of masters.entries()) {
    const from = Math.ceil((index * SLOTS) / 3);
    const to = Math.ceil(((index + 1) * SLOTS) / 3) - 1;
    await client.call('CLUSTER', ['ADDSLOTSRANGE', from, to]);
  }
  for (const { port } of all) await first.client.call('CLUSTER', ['MEET', '127.0.0.1', port]);
  await waitFor('the nodes know each other', () =>
    everyNode(all, 'INFO', [], (info) => /cluster_known_nodes:4/.test(info)),
  );
  await replica.client.call('CLUSTER', ['REPLICATE', await idOf(first)]);
  await waitFor('the cluster is there', async () => {
    const replication = await replica.client.info('replication');
    const fine = await everyNode(all, 'INFO', [], (info) => /cluster_state:ok/.test(info));
    return fine && replication.includes('master_link_status:up');
  });
  return {
    masters,
    replica,
    all,
    moveSlot: async (slot, from, to) => {
      const [fromId, toId] = [await idOf(from), await idOf(to)];
      await to.client.call('CLUSTER', ['SETSLOT', slot, 'IMPORTING', fromId]);
      await from.client.call('CLUSTER', ['SETSLOT', slot, 'MIGRATING', toId]);
      for (;;) {
        const keys = await from.client.call('CLUSTER', ['GETKEYSINSLOT', slot, 1]);
        const [key] = Array.isArray(keys) ? keys : [];
        if (key === undefined) break;
        await from.client.call('MIGRATE', ['127.0.0.1', to.port, String(key), 0, 5_000]);
      }
      for (const { client } of [to, from]) {
        await client.call('CLUSTER', ['SETSLOT', slot, 'NODE', toId]);
      }
    },
    end: async () => {
      await Promise.all(all.map((node) => node.end()));
    },
  };
};

const idOf = async ({ client }: RedisProcess): Promise<string> =>
  String(await client.call('CLUSTER', ['MYID']));

const everyNode = async (
  nodes: readonly RedisProcess[],
  word: string,
  args: readonly string[],
  holds: (answer: string) => boolean,
): Promise<boolean> => {
  const answers = await Promise.all(
    nodes.map(({ client }) => client.call('CLUSTER', [word, ...args])),
  );
  return answers.every((answer) => holds(String(answer)));
};
