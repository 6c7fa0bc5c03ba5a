import { giveAgent, watchByAgent } from '../support/agent-rig.js';
import { watch } from '../support/qemu-rig.js';
import type { DriverRig } from './driver.js';

/** The QEMU driver, on a guest's own monitor. */
export const QEMU_RIG: Omit<DriverRig, 'start'> = {
  watch: (guest, options) => watch(guest.qmpSocket, options),
  direct: true,
  restartProof: [],
  continueProof: [],
  points: { restart: 'system_reset', powerOff: 'system_powerdown' },
};

/** An agent's driver, through gRPC and an agent process that holds the guest's monitor. */
export const AGENT_RIG: Omit<DriverRig, 'start'> = {
  watch: (guest, { tuning: _ofQmp, ...options } = {}) => watchByAgent(giveAgent(guest), options),
  direct: false,
  restartProof: ['status running, a new boot seen'],
  continueProof: ['status running, continued'],
  points: { restart: 'restart', powerOff: 'powerOff' },
};
