import { onTestFinished } from 'vitest';
import { heldGuest, lifeDir, VM } from './kill-rig.js';
import { connectLife, type LifeClient } from './life-client.js';
import { type LifeConfigOptions, lifeConfig, policyOf, qemuVm } from './life-config.js';

export const PAUSES = ['-action', 'panic=pause'];

/** A client that is closed when the test is over. */
export const connectedLife = (address: string): LifeClient => {
  const client = connectLife(address);
  onTestFinished(client.close);
  return client;
};

/** One guest that waits when it panics, and the configuration for it. */
export const oneGuest = async (changes: LifeConfigOptions['changes'] = {}) => {
  const dir = await lifeDir();
  const { guest, monitor } = await heldGuest(dir, PAUSES);
  const vms = [qemuVm(VM, guest.qmpSocket)];
  return {
    dir,
    guest,
    monitor,
    config: lifeConfig({ dir, policy: policyOf('[restart]'), vms, changes }),
  };
};
