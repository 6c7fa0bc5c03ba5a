import { expect, it, onTestFinished } from 'vitest';
import type { Moment } from '../../src/lib/clock.js';
import { createQemuDriver } from '../../src/vmm/qemu/driver.js';
import { engineBench, ManualClock, policyOf } from '../support/engine-bench.js';
import { describePart } from '../support/parts.js';
import { hostClock, startQemu, vmConfig } from '../support/qemu-rig.js';
import { waitFor } from '../support/wait-for.js';

class HostClock extends ManualClock {
  override now(): Moment {
    return hostClock.now();
  }
}

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };

/** One limit of the short window, one of the long: the tighter one of the two counts. */
const POLICY = policyOf(`
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: panic-loop }
spec:
  mode: enforce
  budgets:
    crash:
      limits: [{ attempts: 3, within: 1h }, { attempts: 5, within: 24h }]
      delay: { base: 100ms, factor: 2, max: 200ms, jitter: 0 }
  rules:
    - name: crashed
      on: [CRASH]
      do: [restart]
      budget: crash
      exhausted: [powerOff, hold]
`);

describePart('qemu-system-x86_64', 'a guest that panics right after each boot', () => {
  it('is restarted exactly as the budget says, then powered off and held', async () => {
    const guest = await startQemu(['-no-shutdown', '-action', 'panic=pause'], {
      panicsAtBoot: true,
    });
    const vm = vmConfig(guest.qmpSocket);
    const clock = new HostClock();
    const driver = createQemuDriver({ vm, socket: guest.qmpSocket, clock, log });
    const made = await engineBench({
      policy: POLICY,
      clock,
      vms: [{ id: vm.id, uid: vm.uid, driver, takeOver: false }],
    });
    onTestFinished(() => made.engine.stop(1_000));
    await waitFor('it is held', () => made.engine.vms()[0]?.phase === 'held');
    expect(await guest.exited).toEqual({ code: 0, signal: null });
    expect(guest.boots()).toBe(1 + 3);

    const story = await made.story();
    const steps = story.filter((line) => line.startsWith('step') && !line.endsWith('started'));
    expect(steps).toEqual([
      'step restart applied',
      'step restart applied',
      'step restart applied',
      'step powerOff applied',
      'step hold applied',
    ]);
    const decisions = (await made.records()).flatMap(({ record: { body } }) =>
      body?.$case === 'decision' && body.value.budget !== undefined ? [body.value] : [],
    );
    expect(decisions.map(({ budget, plan }) => [budget?.after, plan.length])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [3, 2],
    ]);
    const waits = decisions.map(({ now, notBefore }) =>
      notBefore === undefined ? 0 : notBefore.getTime() - (now?.getTime() ?? 0),
    );
    expect(waits).toEqual([0, 100, 200, 0]);
  });
});
