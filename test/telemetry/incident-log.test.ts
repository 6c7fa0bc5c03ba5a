import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { vmmEvent } from '../../src/event/vmm-event.js';
import { startMetricsApp } from '../support/metrics-app.js';
import { waitFor } from '../support/wait-for.js';

const POLICY = readFileSync(new URL('../data/crash-policy.yaml', import.meta.url), 'utf8');

test('the log tells the story of one incident by its id, and of no other', async () => {
  const { app, driver, lines } = await startMetricsApp(POLICY, { metrics: null });
  const closed = () => lines.filter(({ message }) => message === 'incident closed');
  const at = (message: string) => lines.find((line) => line.message === message);
  await waitFor('contact', () => at('VMM connected') !== undefined);
  driver.panic();
  driver.tell('VMM_ERROR', 'guest');
  await waitFor('restarted', () => closed().length === 1);
  const first = closed()[0]?.['incidentId'];
  await app.engine.report({
    vm: 'other',
    uid: '',
    event: vmmEvent('SHUTDOWN', { reason: 'r', action: '', arguments: [], text: '' }),
    origin: 'kernel',
    initiator: 'guest',
    bootId: 'b',
    key: null,
    occurredAtMs: null,
    reconciled: false,
  });
  await waitFor('the other one', () => lines.some(({ vm }) => vm === 'other'));
  const story = lines.filter(({ incidentId }) => incidentId === first);
  const told = story.map(({ message, type, step, outcome }) =>
    [message, type, step, outcome].filter((word) => word !== undefined).join(' '),
  );
  // What joins it (the RESET of our own restart) may be told at any place of it.
  const joined = /^event (VMM_ERROR|RESET)/;
  expect(told.filter((line) => !joined.test(line))).toEqual([
    'event CRASH',
    'step done dump applied',
    'step done restart applied',
    'incident closed',
  ]);
  expect(told).toContain('event VMM_ERROR');
  expect(story.every(({ vm }) => vm === 'web-1')).toBe(true);
  expect(story[0]).toMatchObject({ rule: 'crashed', plan: ['dump', 'restart'] });
  expect(story[0]?.['reasons']).toEqual(expect.arrayContaining([expect.stringContaining('crash')]));
  // Nothing about an incident is told without its id.
  const about = /^(step|incident|outcome|record missed)/;
  const nameless = lines.filter(
    ({ message, incidentId }) => about.test(message) && typeof incidentId !== 'string',
  );
  expect(nameless).toEqual([]);
});
