import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { startApp } from '../../app.js';
import type { Config, VmConfig } from '../../config/config.js';
import { createLog } from '../../telemetry/log.js';
import { type DemoGuests, findQemu, startGuests } from './guests.js';
import { DEMO_POLICY } from './policy.js';
import { renderTable } from './render.js';
import { tellStory } from './story.js';

const STAND_IN = new URL('./stand-in.js', import.meta.url);

export const addDemoCommand = (program: Command): void => {
  program
    .command('demo')
    .description('show the whole of it at work on two guests of its own, in a few seconds')
    .action(async () => {
      process.exitCode = await demo();
    });
};

/** Exit code 0 only if all of it truly happened. */
const demo = async (): Promise<number> => {
  const dir = await mkdtemp(join(tmpdir(), 'vmwarden-'));
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  let guests: DemoGuests | null = null;
  try {
    const qemu = findQemu(process.env['PATH'] ?? '');
    say(
      qemu === null
        ? 'No qemu-system-x86_64 on PATH: stand-in guest processes that speak QMP take its place.'
        : `Two real guests boot in ${qemu}: web-1, which will panic, and batch-1, which will ask for power-off.`,
    );
    guests = await startGuests(dir, qemu, STAND_IN);
    await writeFile(join(dir, 'policy.yaml'), DEMO_POLICY);
    const terminal = process.stderr.isTTY === true;
    const log = await createLog({ level: 'info', format: 'pretty', terminal });
    const app = await startApp(demoConfig(dir, guests), {
      log,
      umask: (mask) => process.umask(mask),
      pid: process.pid,
    });
    try {
      const chapters = await tellStory(app.server.address, guests);
      await log.flush();
      say(`\n${renderTable(chapters)}\n`);
      const complaints = chapters.flatMap(({ vm, complaints: of }) => of.map((c) => `${vm}: ${c}`));
      say(
        complaints.length === 0
          ? 'All of it truly happened. The dump went with the demo. Next: npm start, and in another shell\n' +
              '  npx vmwarden report --vm try-1 --arch arm64 --cap 1 --hex 02000000010000000100000000000000\n' +
              '  npx vmwarden events --follow'
          : `Not all of it happened:\n${complaints.join('\n')}`,
      );
      return complaints.length === 0 ? 0 : 1;
    } finally {
      await app.stop();
      await log.flush();
    }
  } catch (error) {
    say(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    await Promise.all([guests?.web.stop(), guests?.batch.stop()]);
    await rm(dir, { recursive: true, force: true });
  }
};

const demoConfig = (dir: string, guests: DemoGuests): Config => ({
  host: 'demo',
  dataDir: dir,
  socket: join(dir, 'vmwarden.sock'),
  policyFile: join(dir, 'policy.yaml'),
  log: { level: 'info', format: 'auto' },
  journal: {
    maxAgeMs: 86_400_000,
    maxBytes: 2 ** 30,
    hardMaxBytes: 2 ** 31,
    reserveBytes: 64 * 2 ** 20,
  },
  bus: { kind: 'local' },
  dumps: { dir: join(dir, 'dumps') },
  metrics: null,
  discover: [],
  vms: [
    // The guest waits for vmwarden after a panic, because its operator (this demo) asks for that.
    demoVm('web-1', guests.web.qmpSocket, true),
    demoVm('batch-1', guests.batch.qmpSocket, false),
  ],
  stopTimeoutMs: 10_000,
});

const demoVm = (id: string, socket: string, takeOver: boolean): VmConfig => ({
  id,
  uid: '',
  labels: {},
  driver: { kind: 'qemu', socket },
  takeOver,
  release: { panic: 'shutdown', shutdown: 'poweroff', watchdog: 'reset', reboot: 'reset' },
});
