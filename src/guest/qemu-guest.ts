import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { firmwareImage } from './firmware.js';
import type { Guest, GuestOptions } from './guest.js';
import { type GuestSockets, startGuestProcess } from './guest-process.js';

export interface QemuGuestOptions extends GuestOptions {
  /** The program: `/usr/bin/qemu-system-x86_64`. */
  readonly qemu: string;
  /** Default 64 MiB. */
  readonly memoryMiB?: number;
  /** It panics as soon as it has told of its boot, each time. Default false. */
  readonly panicsAtBoot?: boolean;
}

/** Starts a real QEMU under TCG (nested KVM is slower for a guest this small) with our own firmware. */
export const startQemuGuest = async (options: QemuGuestOptions): Promise<Guest> => {
  const bios = path.join(options.dir, `${options.name ?? 'guest'}.bios`);
  await writeFile(bios, firmwareImage(options.panicsAtBoot));
  return startGuestProcess(
    {
      kind: 'qemu',
      spawn: (sockets) =>
        spawn(options.qemu, qemuArgs(options, bios, sockets), {
          stdio: ['ignore', 'ignore', 'pipe'],
        }),
    },
    options,
  );
};

const qemuArgs = (
  options: QemuGuestOptions,
  bios: string,
  { qmp, serial }: GuestSockets,
): readonly string[] => [
  ...['-machine', 'pc', '-accel', 'tcg', '-m', String(options.memoryMiB ?? 64)],
  // No local APIC: its LINT0 comes up masked and would keep the PIC's interrupts from the CPU.
  ...['-cpu', 'qemu64,apic=off', '-nodefaults', '-no-user-config', '-display', 'none'],
  ...['-bios', bios, '-device', 'pvpanic', '-device', 'ib700'],
  ...(options.args ?? []),
  ...qmp.flatMap((file) => ['-qmp', `unix:${escapeComma(file)},server=on,wait=off`]),
  // QEMU connects to us, so that the first boot byte has a reader.
  ...['-chardev', `socket,id=com1,path=${escapeComma(serial)}`],
  ...['-serial', 'chardev:com1'],
];

/** QEMU's option syntax: a comma in a value is written twice. */
const escapeComma = (value: string): string => value.replaceAll(',', ',,');
