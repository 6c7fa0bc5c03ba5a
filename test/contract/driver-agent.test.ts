import { describe } from 'vitest';
import { describePart } from '../support/parts.js';
import { startQemu, startStandIn } from '../support/qemu-rig.js';
import { driverContract } from './driver.js';
import { AGENT_RIG } from './driver-rigs.js';

describe('the driver contract, through an agent, on the guest that stands in for QEMU', () => {
  driverContract({ ...AGENT_RIG, start: startStandIn });
});

describePart('qemu-system-x86_64', 'the driver contract, through an agent, on a real QEMU', () => {
  driverContract({ ...AGENT_RIG, start: startQemu });
});
