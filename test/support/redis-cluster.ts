import { type RedisProcess, startRedisProcess } from './redis-process.js';
import { waitFor } from './wait-for.js';

/** Three masters, each with a third of the slots and a replica. */
export interface RedisCluster {
  /** Whoever has slots at the moment, in their order. */
  masters(): Promise<readonly RedisProcess[]>;
  /** Whoever has this slot. */
  masterOf(slot: number): Promise<RedisProcess>;
  replicaOf(master: RedisProcess): Promise<RedisProcess>;
  /** Of this key. */
  slotOf(key: string): Promise<number>;
  /** Moves a slot with all its keys to another master, as `redis-cli --cluster reshard` does. */
  moveSlot(slot: number, to: RedisProcess): Promise<void>;
  /** Kills a master; its replica takes its place with what it has, and the old one comes back as a replica. */
  failOver(master: RedisProcess): Promise<void>;
  end(): Promise<void>;
}

const SLOTS = 16_384;
const SOON_MS = 60_000;

/**
 * No node takes another one for dead by itself: on a busy machine one may not run for seconds, and what a test
 * looks at would change under its hands. `failOver` says when.
 */
const ARGS = [
  ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '600000'],
  ...['--cluster-require-full-coverage', 'no', '--appendonly', 'no'],
];

export const startRedisCluster = async (): Promise<RedisCluster> => {
  const all = await Promise.all(Array.from({ length: 6 }, () => startRedisProcess({ args: ARGS })));
  const ids = new Map<string, RedisProcess>();
  for (const node of all) ids.set(String(await node.client.call('CLUSTER', ['MYID'])), node);
  const idOf = (node: RedisProcess): string =>
    [...ids].find(([, one]) => one === node)?.[0] ?? 'nobody';

  /** Of a node that answers: id, flags, master's id, slots of every node. */
  const view = async (node: RedisProcess): Promise<readonly NodeLine[]> =>
    parseNodes(String(await node.client.call('CLUSTER', ['NODES'])));
  const masters = async (): Promise<readonly RedisProcess[]> => {
    const found: { readonly from: number; readonly node: RedisProcess }[] = [];
    for (const [id, node] of ids) {
      const lines = await view(node).catch(() => []);
      const own = lines.find((line) => line.id === id);
      const first = own?.flags.includes('master') === true ? own.slots[0] : undefined;
      if (first !== undefined) found.push({ from: first.from, node });
    }
    return found.sort((a, b) => a.from - b.from).map(({ node }) => node);
  };
  const hasSlot = async (node: RedisProcess, slot: number): Promise<boolean> => {
    const own = (await view(node)).find((line) => line.flags.includes('myself'));
    return own?.slots.some(({ from, to }) => from <= slot && slot <= to) === true;
  };
  const masterOf = async (slot: number): Promise<RedisProcess> => {
    for (const node of await masters()) if (await hasSlot(node, slot)) return node;
    throw new Error(`nobody has slot ${slot}`);
  };
  const replicaOf = async (master: RedisProcess): Promise<RedisProcess> => {
    const lines = await view(master);
    const line = lines.find((one) => one.masterId === idOf(master));
    const found = ids.get(line?.id ?? '');
    if (found === undefined) throw new Error('it has no replica');
    return found;
  };
  const everyone = (what: string, holds: (lines: readonly NodeLine[]) => boolean): Promise<void> =>
    waitFor(what, async () => (await Promise.all(all.map(view))).every(holds), SOON_MS);

  await found(all, idOf, everyone);
  return {
    masters,
    masterOf,
    replicaOf,
    slotOf: async (key) => Number(await all[0]?.client.call('CLUSTER', ['KEYSLOT', key])),
    moveSlot: async (slot, to) => {
      const from = await masterOf(slot);
      if (from === to) return;
      await to.client.call('CLUSTER', ['SETSLOT', slot, 'IMPORTING', idOf(from)]);
      await from.client.call('CLUSTER', ['SETSLOT', slot, 'MIGRATING', idOf(to)]);
      for (;;) {
        const keys = await from.client.call('CLUSTER', ['GETKEYSINSLOT', slot, 1]);
        const [key] = Array.isArray(keys) ? keys : [];
        if (key === undefined) break;
        await from.client.call('MIGRATE', ['127.0.0.1', to.port, String(key), 0, 30_000]);
      }
      for (const { client } of [to, from]) {
        await client.call('CLUSTER', ['SETSLOT', slot, 'NODE', idOf(to)]);
      }
    },
    failOver: async (master) => {
      const replica = await replicaOf(master);
      await waitFor(
        'the replica follows',
        async () => (await replica.client.info('replication')).includes('master_link_status:up'),
        SOON_MS,
      );
      await master.stop('SIGKILL');
      await replica.client.call('CLUSTER', ['FAILOVER', 'TAKEOVER']);
      await waitFor(
        'the replica is a master',
        async () => (await replica.client.info('replication')).includes('role:master'),
        SOON_MS,
      );
      await replica.reconnect();
      await master.start();
      await waitFor(
        'the old master follows the new one',
        async () => (await master.client.info('replication')).includes('role:slave'),
        SOON_MS,
      );
    },
    end: async () => {
      await Promise.all(all.map((node) => node.end()));
    },
  };
};

/** Slots, acquaintance, replicas. */
const found = async (
  all: readonly RedisProcess[],
  idOf: (node: RedisProcess) => string,
  everyone: (what: string, holds: (lines: readonly NodeLine[]) => boolean) => Promise<void>,
): Promise<void> => {
  const masters = all.slice(0, 3);
  for (const [index, { client }] of masters.entries()) {
    // Epochs of their own from the start, so that they need not agree on them first.
    await client.call('CLUSTER', ['SET-CONFIG-EPOCH', index + 1]);
    const from = Math.ceil((index * SLOTS) / 3);
    const to = Math.ceil(((index + 1) * SLOTS) / 3) - 1;
    await client.call('CLUSTER', ['ADDSLOTSRANGE', from, to]);
  }
  for (const one of all) {
    for (const { port } of all) {
      if (port !== one.port) await one.client.call('CLUSTER', ['MEET', '127.0.0.1', port]);
    }
  }
  await everyone(
    'the nodes know each other',
    (lines) =>
      lines.length === all.length && lines.every(({ flags }) => !/handshake|noaddr/.test(flags)),
  );
  for (const [index, master] of masters.entries()) {
    await all[index + 3]?.client.call('CLUSTER', ['REPLICATE', idOf(master)]);
  }
  await everyone(
    'all know who has which slots, and who follows whom',
    (lines) =>
      lines.filter(({ slots }) => slots.length > 0).length === 3 &&
      lines.filter(({ flags }) => flags.includes('slave')).length === 3,
  );
  await waitFor(
    'the cluster takes writes',
    async () => {
      const infos = await Promise.all(all.map(({ client }) => client.call('CLUSTER', ['INFO'])));
      return infos.every((info) => String(info).includes('cluster_state:ok'));
    },
    SOON_MS,
  );
};

interface NodeLine {
  readonly id: string;
  readonly flags: string;
  /** Whose replica it is; '-': nobody's. */
  readonly masterId: string;
  readonly slots: readonly { readonly from: number; readonly to: number }[];
}

/** `<id> <address> <flags> <master> <ping> <pong> <epoch> <link> <slot> ...` */
const parseNodes = (text: string): NodeLine[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', , flags = '', masterId = '-', , , , , ...slots] = line.split(' ');
      return {
        id,
        flags,
        masterId,
        // `[slot->-node]` is one on its way.
        slots: slots
          .filter((range) => /^\d/.test(range))
          .map((range) => {
            const [from, to = from] = range.split('-').map(Number);
            return { from: from ?? 0, to: to ?? 0 };
          }),
      };
    });
