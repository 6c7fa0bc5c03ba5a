import { KEEPING, type RedisProcess, startRedisProcess } from './redis-process.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';
import { waitFor } from './wait-for.js';

/** A master and its replica; clients reach whoever is the master by one address, replication goes by another. */
export interface RedisPair {
  /** In front of the master. */
  readonly front: TcpProxy;
  /** Between replica and master. */
  readonly link: TcpProxy;
  readonly master: RedisProcess;
  readonly replica: RedisProcess;
  /** Resolves when the replica has what the master has. */
  synced(): Promise<void>;
  /** Kills the master; the replica takes its place with what it has, and the old one comes back as its replica. */
  failOver(): Promise<void>;
  end(): Promise<void>;
}

export const startRedisPair = async (): Promise<RedisPair> => {
  let [master, replica] = await Promise.all([
    startRedisProcess({ args: KEEPING }),
    startRedisProcess({ args: KEEPING }),
  ]);
  const front = await startTcpProxy(master.port);
  const link = await startTcpProxy(master.port);
  await replica.client.replicaof('127.0.0.1', link.port);

  const synced = () =>
    waitFor('the replica has it all', async () => {
      const info = await replica.client.info('replication');
      if (!info.includes('master_link_status:up')) return false;
      const ours = await master.client.info('replication');
      return offsetOf(info, 'slave_repl_offset') === offsetOf(ours, 'master_repl_offset');
    });
  return {
    front,
    link,
    get master() {
      return master;
    },
    get replica() {
      return replica;
    },
    synced,
    failOver: async () => {
      await master.stop('SIGKILL');
      await replica.client.replicaof('NO', 'ONE');
      link.mend();
      [master, replica] = [replica, master];
      front.target(master.port);
      link.target(master.port);
      await replica.start();
      await replica.client.replicaof('127.0.0.1', link.port);
    },
    end: async () => {
      await Promise.all([front.close(), link.close()]);
      await Promise.all([master.end(), replica.end()]);
    },
  };
};

const offsetOf = (info: string, field: string): string =>
  new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? '';
