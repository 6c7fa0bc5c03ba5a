import type { VmConfig } from '../../config/config.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/logger.js';
import type { Tuning } from './tuning.js';

export interface QemuDriverOptions {
  readonly vm: VmConfig;
  /** QMP unix socket of vmwarden's own: QEMU serves one client on each. */
  readonly socket: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  /** Default: `TUNING`. */
  readonly tuning?: Partial<Tuning>;
}
