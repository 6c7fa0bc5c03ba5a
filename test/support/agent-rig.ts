import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { VmConfig } from '../../src/config/config.js';
import type { Guest } from '../../src/guest/guest.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { observePolicy } from '../../src/policy/observe-policy.js';
import { startServer } from '../../src/server/create-server.js';
import { createHealthBoard } from '../../src/server/health-board.js';
import { createAgents } from '../../src/vmm/agent/desk.js';
import type { Tuning } from '../../src/vmm/agent/tuning.js';
import { bundleAgent, startAgent } from './agent-process.js';
import { createFakeEngine } from './fake-engine.js';
import { silentLog } from './grpc-server.js';
import { RELEASE, type Watcher, type WatchOptions, watchWith } from './qemu-rig.js';

export const agentVm = (id: string, changes: Partial<VmConfig> = {}): VmConfig => ({
  id,
  uid: '',
  labels: {},
  driver: { kind: 'agent' },
  takeOver: false,
  release: RELEASE,
  ...changes,
});

const desks = new WeakMap<Guest, { readonly socket: string }>();

/** Gives a guest an agent: a process of its own that bridges QMP and vmwarden, as soon as that listens. */
export const giveAgent = (guest: Guest): string => {
  const known = desks.get(guest);
  if (known !== undefined) return known.socket;
  const dir = mkdtempSync(path.join(tmpdir(), 'vmw-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const socket = path.join(dir, 's');
  const program = bundleAgent({ file: 'test/support/bridge-agent.ts' });
  startAgent(program, [socket, 'vm', guest.qmpSocket]);
  desks.set(guest, { socket });
  return socket;
};

/** Watches a guest by an agent's driver, through a server on a unix socket. Stops with the watcher. */
export const watchByAgent = (
  socket: string,
  options: Omit<WatchOptions, 'tuning'> & { readonly tuning?: Partial<Tuning> } = {},
): Watcher => {
  const vm = agentVm('vm');
  const { tuning, ...watching } = options;
  const agents = createAgents([vm], silentLog, tuning);
  const driver = agents.driver(vm);
  const journal = new MemoryJournal();
  const health = createHealthBoard([]);
  const watcher = watchWith(driver, watching);
  const serving = startServer({
    socket,
    umask: process.umask,
    engine: createFakeEngine(journal, []),
    journal,
    health,
    agents,
    log: silentLog,
    policies: {
      status: () => ({
        policy: observePolicy(),
        source: '',
        text: '',
        loadedAtMs: 0,
        warnings: [],
        broken: null,
      }),
    },
  });
  const stopWatching = watcher.stop;
  watcher.stop = async () => {
    await (await serving).stop(0);
    await stopWatching();
  };
  onTestFinished(watcher.stop);
  return watcher;
};
