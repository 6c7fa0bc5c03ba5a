import { afterEach, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import type { Outcome } from '../../src/vmm/driver.js';
import { engineBench, policyOf } from '../support/engine-bench.js';

const POLICY = policyOf(`
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: later }
spec:
  mode: enforce
  rules:
    - { name: hangs, on: [WATCHDOG], do: [dump] }
    - { name: crashed, on: [CRASH], do: [hold] }
`);

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(100)));
});

const openDump = async () => {
  const made = await engineBench({ policy: POLICY });
  engines.push(made.engine);
  await made.until('contact', () => made.engine.vms()[0]?.contact === 'connected');
  let end: (outcome: Outcome) => void = () => undefined;
  made.driver.answers.push(
    new Promise((resolve) => {
      end = resolve;
    }),
  );
  made.driver.state = 'watchdog';
  made.driver.tell('WATCHDOG', 'guest');
  await made.until('the dump', () => made.driver.calls.includes('dump'));
  const reset = async (): Promise<void> => {
    // Not one burst with the last.
    made.clock.advance(1_000);
    made.driver.boots += 1;
    made.driver.state = 'running';
    made.driver.tell('RESET', 'guest');
  };
  return { made, reset, end: () => end({ kind: 'applied', proof: [], state: 'running' }) };
};
const ended = (made: Awaited<ReturnType<typeof openDump>>['made']) =>
  made.until('the end', async () =>
    (await made.story()).findLast((line) => line.startsWith('decision crashed')),
  );

it('answers a death that waited for an incident to close', async () => {
  const { made, reset, end } = await openDump();
  await reset();
  made.driver.panic();
  end();
  expect(await ended(made)).toBe('decision crashed: hold');
  expect(made.engine.vms()[0]?.phase).toBe('held');
});

it('does nothing about one whose guest has booted since, and says so', async () => {
  const { made, reset, end } = await openDump();
  await reset();
  made.driver.panic();
  await reset();
  end();
  expect(await ended(made)).toBe('decision crashed: ');
  expect(made.engine.vms()[0]?.phase).toBe('well');
  const reasons = (await made.records()).flatMap(({ record: { body } }) =>
    body?.$case === 'decision' ? body.value.reasons : [],
  );
  expect(reasons).toContain(
    'The guest has booted since, while this waited for an incident to close: recorded only.',
  );
});
