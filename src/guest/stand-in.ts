import { rm } from 'node:fs/promises';
import net from 'node:net';
import { GUEST_COMMANDS, type GuestCommand } from './guest.js';
import { StandInDump } from './stand-in-dump.js';
import { type Actions, StandInMachine } from './stand-in-machine.js';
import { monitorCommands, StandInMonitor } from './stand-in-monitor.js';

// The stand-in guest: a process that speaks QMP as a QEMU with our firmware does, for machines without QEMU.
// stand-in.js --qmp PATH... --serial PATH [-S] [-no-shutdown] [-no-reboot] [-action KEY=VALUE,...]

const EXIT_GRACE_MS = 200;

const options = (argv: readonly string[]): Map<string, string[]> => {
  const found = new Map<string, string[]>();
  const flags = new Set(['-S', '-no-shutdown', '-no-reboot']);
  const rest = [...argv];
  while (rest.length > 0) {
    const name = rest.shift() ?? '';
    const values = found.get(name) ?? [];
    found.set(name, values);
    if (!flags.has(name)) values.push(rest.shift() ?? '');
  }
  return found;
};

const main = async (): Promise<void> => {
  const given = options(process.argv.slice(2));
  const paths = given.get('--qmp') ?? [];

  let exiting = false;
  const exit = (code: number): void => {
    if (exiting) return;
    exiting = true;
    setTimeout(() => process.exit(code), EXIT_GRACE_MS);
    // Its answers are still to be written in this turn.
    setImmediate(() => {
      void Promise.all(monitors.map((monitor) => monitor.close()))
        .then(() => Promise.all(paths.map((path) => rm(path, { force: true }))))
        .finally(() => process.exit(code));
    });
  };
  const emit = (event: string, data?: Record<string, unknown>): void => {
    for (const monitor of monitors) monitor.emit(event, data);
  };
  const machine = new StandInMachine({ emit, exit, write: (text) => serial.write(text, 'latin1') });
  if (given.has('-no-shutdown')) machine.actions.shutdown = 'pause';
  if (given.has('-no-reboot')) machine.actions.reboot = 'shutdown';
  for (const pair of (given.get('-action') ?? []).flatMap((value) => value.split(','))) {
    const [key = '', value = ''] = pair.split('=');
    if (key in machine.actions) machine.actions[key as keyof Actions] = value;
  }
  const commands = monitorCommands(machine, new StandInDump(machine, emit), process.pid);
  const monitors = paths.map(() => new StandInMonitor(commands));
  await Promise.all(monitors.map((monitor, index) => monitor.listen(paths[index] ?? '')));
  // Last, as QEMU does: who holds the other end knows then that the monitors listen.
  const serial = net.connect(given.get('--serial')?.[0] ?? '');

  const byByte = new Map(
    Object.entries(GUEST_COMMANDS).map(([name, byte]) => [byte as string, name as GuestCommand]),
  );
  serial.setEncoding('latin1').on('data', (text: string) => {
    for (const byte of text) {
      const command = byByte.get(byte);
      if (command === undefined) serial.write(byte);
      else machine.receive(command);
    }
  });
  // Whoever started it has gone: nobody is left to stop it.
  serial.on('close', () => process.exit(1));
  serial.on('error', () => serial.destroy());
  process.on('SIGTERM', () => machine.terminate());
  process.on('SIGINT', () => machine.terminate());
  if (!given.has('-S')) machine.cont();
};

await main();
