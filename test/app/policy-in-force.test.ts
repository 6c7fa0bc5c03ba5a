import { expect, test } from 'vitest';
import { observePolicy } from '../../src/policy/observe-policy.js';
import type { Policy } from '../../src/policy/policy.js';
import { createPolicyInForce } from '../../src/policy-in-force.js';

const policy = (name: string): Policy => ({ ...observePolicy(), name });

const rig = () => {
  const told: string[] = [];
  const health: string[] = [];
  const tell = (_: object, message: string) => void told.push(message);
  const log = { debug: tell, info: tell, warn: tell, error: tell, child: () => log };
  const inForce = createPolicyInForce({
    file: 'policy.yaml',
    log,
    health: { up: () => health.push('up'), degraded: (_, why) => health.push(why) },
  });
  const engine: { names: string[]; setPolicy: (policy: Policy) => Promise<void> } = {
    names: [],
    setPolicy: async ({ name }) => void engine.names.push(name),
  };
  return { told, health, inForce, engine };
};

const loaded = (name: string) => ({ kind: 'loaded', policy: policy(name), warnings: [] }) as const;
const where = { file: 'policy.yaml', line: 3, column: 1, path: 'spec', message: 'm', hint: '' };

test('an edit while the engine starts is in force, and said to be, once it runs', () => {
  const { told, inForce, engine } = rig();
  inForce.onChange(loaded('second'));
  inForce.onChange(loaded('third'));
  expect(told).toEqual([]);
  inForce.attach(engine, policy('first'));
  expect(engine.names).toEqual(['third']);
  expect(told).toEqual(['policy in force']);
  inForce.onChange(loaded('fourth'));
  expect(engine.names).toEqual(['third', 'fourth']);
});

test('what the engine was started with is not set again', () => {
  const { told, inForce, engine } = rig();
  const change = loaded('first');
  inForce.onChange(change);
  inForce.attach(engine, change.policy);
  expect(engine.names).toEqual([]);
  expect(told).toEqual([]);
});

test('warnings of a file that was read again are told', () => {
  const { told, inForce, engine } = rig();
  inForce.attach(engine, policy('first'));
  inForce.onChange({ ...loaded('second'), warnings: [{ ...where, id: 'VW-W001' }] });
  expect(told).toEqual(['policy warning', 'policy in force']);
});

test('a broken file leaves the last good one in force, and degrades', () => {
  const { told, health, inForce, engine } = rig();
  inForce.attach(engine, policy('first'));
  inForce.onChange({ kind: 'broken', problems: [{ ...where, id: 'VW-P001' }] });
  expect(engine.names).toEqual([]);
  expect(health).toEqual([expect.stringContaining('the last good one stays: policy.yaml:3:1')]);
  expect(told).toEqual(['policy file is broken; the last good one stays in force']);
});
