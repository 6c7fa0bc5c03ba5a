import type { VmConfig } from '../../config/config.js';
import type { Clock } from '../../lib/clock.js';
import type { Fault } from '../../lib/fault.js';
import type { Logger } from '../../lib/logger.js';
import type { Tuning } from './tuning.js';

export interface QemuDriverOptions {
  readonly vm: VmConfig;
  /** QMP unix socket of vmwarden's own: QEMU serves one client on each. */
  readonly socket: string;
  /** Asked before each connect: why this socket is not to be opened; null: it is. Default: it is. */
  readonly refused?: () => Promise<Fault | null>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  /** Default: `TUNING`. */
  readonly tuning?: Partial<Tuning>;
}
