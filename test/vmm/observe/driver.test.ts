import { expect, it } from 'vitest';
import { createObserveDriver } from '../../../src/vmm/observe/driver.js';
import { createDriver } from '../../../src/vmm/registry.js';
import { vmConfig, watchWith } from '../../support/qemu-rig.js';

it('acts on nothing, tells nothing, and says why', async () => {
  const driver = createObserveDriver();
  const vm = watchWith(driver);
  const act = vm.act();
  for (const outcome of [
    await driver.restart(act),
    await driver.dump({ ...act, path: '/nowhere' }),
    await driver.powerOff(act),
    await driver.pause(act),
    await driver.resume(act),
  ]) {
    expect(outcome).toMatchObject({ kind: 'unsupported', reason: 'OBSERVE_ONLY', proof: [] });
  }
  const { verbs, takeOver } = driver.capabilities();
  expect(takeOver).toBe(false);
  expect(Object.values(verbs).some((verb) => verb.able)).toBe(false);
  await expect(driver.inspect(act.signal)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await driver.refresh();
  await driver.release(act.signal);
  await vm.stop();
  expect(vm.sightings).toEqual([]);
});

it('is made by the factory of its kind', () => {
  const made: string[] = [];
  const factory = (kind: string) => () => {
    made.push(kind);
    return createObserveDriver();
  };
  const registry = {
    qemu: factory('qemu'),
    agent: factory('agent'),
    observe: factory('observe'),
  };
  createDriver(registry, vmConfig('/run/vm.qmp'));
  createDriver(registry, { ...vmConfig(''), driver: { kind: 'agent' } });
  createDriver(registry, { ...vmConfig(''), driver: { kind: 'observe' } });
  expect(made).toEqual(['qemu', 'agent', 'observe']);
});
