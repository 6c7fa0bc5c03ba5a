import { execFile } from 'node:child_process';
import { expect, it, onTestFinished } from 'vitest';
import { act } from '../../src/cli/act.js';
import type { Moment } from '../../src/lib/clock.js';
import { createQemuDriver } from '../../src/vmm/qemu/driver.js';
import { engineBench, ManualClock, policyOf } from '../support/engine-bench.js';
import { fakeIo } from '../support/fake-io.js';
import { startTestServer } from '../support/grpc-server.js';
import { describePart, partPath } from '../support/parts.js';
import { hostClock, startQemu, tempDir, vmConfig } from '../support/qemu-rig.js';

class HostClock extends ManualClock {
  override now(): Moment {
    return hostClock.now();
  }
}

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };

const POLICY = policyOf(`
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: operators }
spec:
  mode: enforce
  rules:
    - name: crashed
      on: [CRASH]
      do: [restart]
`);

const serve = async () => {
  const guest = await startQemu(['-no-shutdown', '-action', 'panic=pause']);
  const vm = vmConfig(guest.qmpSocket);
  const clock = new HostClock();
  const driver = createQemuDriver({ vm, socket: guest.qmpSocket, clock, log });
  const made = await engineBench({
    policy: POLICY,
    clock,
    vms: [{ id: vm.id, uid: vm.uid, driver, takeOver: false }],
    dumpDir: await tempDir(),
  });
  onTestFinished(() => made.engine.stop(1_000));
  await made.until('contact', () => made.engine.vm('vm').contact === 'connected');
  const { socket } = await startTestServer({ engine: made.engine, journal: made.journal });
  return { guest, made, socket };
};

/** A client that shares no code with the server, and learns its types by reflection. */
const bufCurl =
  (socket: string) =>
  (method: string, request: object): Promise<{ readonly [field: string]: unknown }> =>
    new Promise((resolve, reject) => {
      const transport = ['--protocol', 'grpc', '--http2-prior-knowledge', '--unix-socket', socket];
      const url = `http://localhost/vmwarden.v1.VmService/${method}`;
      execFile(
        partPath('buf'),
        ['curl', ...transport, '--data', JSON.stringify(request), url],
        { timeout: 20_000 },
        (error, stdout) => (error === null ? resolve(JSON.parse(stdout)) : reject(error)),
      );
    });

const BY = { actor: 'ann', reason: 'to try it', requestId: '' };

describePart('qemu-system-x86_64', 'an operator and a real guest', () => {
  it('pause, resume, dump, restart and power off, each proven', async () => {
    const { guest, made, socket } = await serve();
    const ask = async (verb: string): Promise<string> => {
      const io = fakeIo();
      const flags = { ...BY, timeout: 0, wait: true, incident: '', json: true };
      expect([verb, await act(io, socket, 'vm', verb, flags)]).toEqual([verb, 0]);
      const last = io.json().at(-1)?.['step'];
      return last instanceof Object && 'state' in last ? String(last.state) : '';
    };
    expect(await ask('pause')).toBe('APPLIED');
    expect(await ask('pause')).toBe('ALREADY');
    expect(await ask('resume')).toBe('APPLIED');
    expect(await ask('dump')).toBe('APPLIED');
    expect(await ask('restart')).toBe('APPLIED');
    await guest.booted(2);
    expect(guest.boots()).toBe(2);
    expect(await ask('powerOff')).toBe('APPLIED');
    await guest.exited;
    await made.until('its end', () => made.engine.vm('vm').state === 'exited');
  });
});

describePart(['qemu-system-x86_64', 'buf'], 'a foreign client and a real guest', () => {
  it('a hold during a panic keeps it down; the release has it answered', async () => {
    const { guest, made, socket } = await serve();
    const curl = bufCurl(socket);
    const by = { vmId: 'vm', actor: 'ann', reason: 'to try it' };
    await curl('HoldVm', by);
    guest.send('panic');
    await made.until('the decision', async () =>
      (await made.story()).some((line) => line.startsWith('decision')),
    );
    expect(guest.boots()).toBe(1);
    expect((await curl('ExplainVm', { vmId: 'vm' }))['answer']).toContain('held');
    const released = await curl('ReleaseVm', by);
    expect(released['found']).toContain('restart by rule crashed');
    await guest.booted(2);
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
    await made.until('its end', () => made.engine.vm('vm').incident === '');
    const begun = await curl('ActOnVm', { ...by, verb: 'pause' });
    expect(begun['incidentId']).toMatch(/^.{8}-\d+$/);
    await made.until('the pause', async () => (await made.story()).includes('step pause applied'));
    expect((await curl('ExplainVm', { vmId: 'vm' }))['answer']).toContain('Paused at');
  });
});
