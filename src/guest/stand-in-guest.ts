import { fork } from 'node:child_process';
import type { Guest, GuestOptions } from './guest.js';
import { startGuestProcess } from './guest-process.js';

export interface StandInGuestOptions extends GuestOptions {
  /** The bundled stand-in: `dist/stand-in.js`. */
  readonly program: URL;
}

/** Starts a stand-in in a process of its own, run by the same Node as this one. */
export const startStandInGuest = (options: StandInGuestOptions): Promise<Guest> =>
  startGuestProcess(
    {
      kind: 'standIn',
      spawn: ({ qmp, serial }) => {
        const args = [
          ...(options.args ?? []),
          ...qmp.flatMap((file) => ['--qmp', file]),
          ...['--serial', serial],
        ];
        const child = fork(options.program, args, {
          execArgv: [],
          stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        });
        // It is spoken to through its sockets alone, as a QEMU is.
        child.disconnect();
        return child;
      },
    },
    options,
  );
