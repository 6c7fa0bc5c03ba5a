import { describePart } from '../support/parts.js';
import { startQemu } from '../support/qemu-rig.js';
import { driverContract } from './driver.js';
import { QEMU_RIG } from './driver-rigs.js';

describePart('qemu-system-x86_64', 'the driver contract, on a real QEMU', () => {
  driverContract({ ...QEMU_RIG, start: startQemu });
});
