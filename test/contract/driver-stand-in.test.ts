import { describe } from 'vitest';
import { startStandIn } from '../support/qemu-rig.js';
import { driverContract } from './driver.js';
import { QEMU_RIG } from './driver-rigs.js';

describe('the driver contract, on the guest that stands in for QEMU', () => {
  driverContract({ ...QEMU_RIG, start: startStandIn });
});
