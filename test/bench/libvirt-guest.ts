import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { firmwareImage } from '../../src/guest/firmware.js';
import { BOOT_BYTE, GUEST_COMMANDS } from '../../src/guest/guest.js';
import type { BenchContext } from './figure.js';
import { findProgram } from './programs.js';
import type { Contestant, PanickyGuest } from './restart.js';
import { endOf } from './serve.js';

const START_TIMEOUT_MS = 30_000;
const BOOT_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 50;
/** `nobody`: as root libvirtd would be the system's own daemon, with the system's own files. */
const NOBODY = 65_534;

/**
 * The same guest under a libvirt of its own: a private session daemon, `on_crash=restart`, TCG, the same firmware and
 * devices as far as libvirt lets one say so.
 */
export const startLibvirtGuest = async (
  context: BenchContext,
  qemu: string,
): Promise<{ readonly contestant: Contestant } | { readonly missing: string }> => {
  const libvirtd = findProgram('libvirtd');
  const virsh = findProgram('virsh');
  if (libvirtd === null || virsh === null)
    return { missing: 'libvirtd and virsh are not installed' };
  const home = path.join(context.socketDir, 'libvirt');
  const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  makeOwn(home, identity);
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    XDG_RUNTIME_DIR: home,
    XDG_CONFIG_HOME: home,
    XDG_CACHE_HOME: home,
    XDG_DATA_HOME: home,
  };
  const bios = path.join(home, 'bios');
  const serial = path.join(home, 'serial');
  const definition = path.join(home, 'guest.xml');
  writeFileSync(bios, firmwareImage());
  writeFileSync(definition, domain(qemu, bios, serial));
  const line = await listen(serial);
  const daemon = spawn(libvirtd, [], { ...identity, env, stdio: 'ignore' });
  const ended = endOf(daemon);
  const ask = (...args: readonly string[]): Promise<unknown> =>
    promisify(execFile)(virsh, ['-c', 'qemu:///session', ...args], {
      ...identity,
      env,
      timeout: START_TIMEOUT_MS,
    });
  const stop = async (): Promise<void> => {
    await ask('destroy', 'guest').catch(() => undefined);
    daemon.kill('SIGTERM');
    await ended;
    line.close();
  };
  try {
    await answering(ask, ended);
    await ask('create', definition);
    await line.booted(1);
    return { contestant: { guests: [line], stop } };
  } catch (error) {
    await stop();
    return { missing: `libvirt did not start the guest: ${String(error).split('\n')[0]}` };
  }
};

const makeOwn = (dir: string, { uid, gid }: { uid?: number; gid?: number }): void => {
  mkdirSync(dir);
  if (uid === undefined || gid === undefined) return;
  chownSync(dir, uid, gid);
  // It has to get there.
  chmodSync(path.dirname(dir), 0o711);
};

const answering = async (
  ask: (...args: readonly string[]) => Promise<unknown>,
  ended: Promise<void>,
): Promise<void> => {
  const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
  let over = false;
  void ended.then(() => {
    over = true;
  });
  for (;;) {
    const answered = await ask('version').then(
      () => true,
      () => false,
    );
    if (answered) return;
    if (over) throw new Error('libvirtd ended');
    deadline.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
};

/** The guest's serial port, which QEMU connects to. */
const listen = async (
  socketPath: string,
): Promise<PanickyGuest & { readonly close: () => void }> => {
  let boots = 0;
  let connection: net.Socket | null = null;
  const waiting = new Map<number, () => void>();
  const server = net.createServer((socket) => {
    connection = socket;
    socket.setEncoding('latin1').on('data', (text: string) => {
      for (const byte of text) {
        if (byte !== BOOT_BYTE) continue;
        boots += 1;
        waiting.get(boots)?.();
      }
    });
    socket.on('error', () => socket.destroy());
  });
  server.listen(socketPath);
  await once(server, 'listening');
  chmodSync(socketPath, 0o777);
  return {
    boots: () => boots,
    booted: (count) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`libvirt's guest had no boot ${count} in time`)),
          BOOT_TIMEOUT_MS,
        );
        const done = (): void => {
          clearTimeout(timer);
          waiting.delete(count);
          resolve();
        };
        waiting.set(count, done);
        if (boots >= count) done();
      }),
    send: (command) => {
      connection?.write(GUEST_COMMANDS[command]);
    },
    close: () => {
      connection?.destroy();
      server.close();
    },
  };
};

const domain = (qemu: string, bios: string, serial: string): string => `<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>64</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <loader type='rom'>${bios}</loader>
  </os>
  <cpu mode='custom' match='exact' check='none'>
    <model>qemu64</model>
    <feature policy='disable' name='apic'/>
  </cpu>
  <features><acpi/></features>
  <on_crash>restart</on_crash>
  <devices>
    <emulator>${qemu}</emulator>
    <serial type='unix'><source mode='connect' path='${serial}'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <panic model='isa'/>
  </devices>
</domain>
`;
