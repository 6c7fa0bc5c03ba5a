import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Guest } from '../../guest/guest.js';
import { startQemuGuest } from '../../guest/qemu-guest.js';
import { startStandInGuest } from '../../guest/stand-in-guest.js';

export interface DemoGuests {
  /** Panics. */
  readonly web: Guest;
  /** Asks for power-off; its VMM was started to wait with it (-no-shutdown). */
  readonly batch: Guest;
}

/** First `qemu-system-x86_64` of the search path that may be run; null: none. */
export const findQemu = (path: string): string | null => {
  for (const dir of path.split(delimiter)) {
    if (dir === '') continue;
    const program = join(dir, 'qemu-system-x86_64');
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      // Not in this directory.
    }
  }
  return null;
};

/** Two guests in `dir`: in real QEMUs, or in stand-in processes that speak QMP like one. */
export const startGuests = async (
  dir: string,
  qemu: string | null,
  standIn: URL,
): Promise<DemoGuests> => {
  const start = (name: string, args: readonly string[]): Promise<Guest> =>
    qemu === null
      ? startStandInGuest({ dir, name, args, program: standIn })
      : startQemuGuest({ dir, name, args, qemu });
  const web = await start('web-1', []);
  try {
    return { web, batch: await start('batch-1', ['-no-shutdown']) };
  } catch (error) {
    await web.stop();
    throw error;
  }
};
