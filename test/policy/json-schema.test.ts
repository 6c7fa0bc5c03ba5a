import { expect, it } from 'vitest';
import * as z from 'zod';
import { DEFAULT_POLICY } from '../../src/policy/default-policy.js';
import { policySchema } from '../../src/policy/document.js';
import { policyJsonSchema } from '../../src/policy/json-schema.js';
import { readTree } from '../../src/policy/yaml-tree.js';

const FILE = new URL('../../schema/policy.schema.json', import.meta.url);

it('is what the package ships; `npx vitest run test/policy/json-schema.test.ts -u` writes it', async () => {
  const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot(FILE.pathname);
});

const schema = z.fromJSONSchema(policyJsonSchema());

/** With one thing changed; plain, since a schema's reader looks at prototypes. */
const changed = (from: string, to: string): unknown => {
  expect(DEFAULT_POLICY).toContain(from);
  return JSON.parse(JSON.stringify(readTree(DEFAULT_POLICY.replace(from, to)).tree.value));
};

const GOOD: readonly (readonly [string, string])[] = [
  ['mode: enforce', 'mode: observe'],
  ['maxWait: 1h', 'maxWait: 90m'],
  [
    'do: [dump, restart]',
    'do: [{ dump: { timeout: 5m, retries: 1, onFailure: continue } }, restart]',
  ],
  [
    'on: [SHUTDOWN]',
    'on: [SHUTDOWN]\n      initiator: [guest, host]\n      origin: [qmp]\n      anomaly: [DATA_UNTRUSTED]',
  ],
];

const BAD: readonly (readonly [string, string])[] = [
  ['mode: enforce', 'mode: on'],
  ['mode: enforce', 'modes: enforce'],
  ['kind: EventPolicy', 'kind: Policy'],
  ['maxWait: 1h', 'maxWait: 1 hour'],
  ['maxWait: 1h', 'maxWait: 3600'],
  ['attempts: 3', 'attempts: 0'],
  ['attempts: 3', 'attempts: 1.5'],
  ['attempts: 3, within: 1h', 'attempts: 3'],
  ['on: [SHUTDOWN]', 'on: []'],
  ['on: [SHUTDOWN]', 'on: [POWEROFF]'],
  ['do: [dump, restart]', 'do: [reboot]'],
  ['do: [dump, restart]', 'do: [{ dump: {}, restart: {} }]'],
  ['do: [dump, restart]', 'do: [{ dump: { timeout: 5 } }]'],
  ['name: asked to stop', 'name: ""'],
];

it.each(GOOD)('takes %s as %s, as the parser does', (from, to) => {
  const value = changed(from, to);
  expect(policySchema.safeParse(value).error).toBeUndefined();
  expect(schema.safeParse(value).error).toBeUndefined();
});

it.each(BAD)('refuses %s as %s, as the parser does', (from, to) => {
  const value = changed(from, to);
  expect(policySchema.safeParse(value).success).toBe(false);
  expect(schema.safeParse(value).success).toBe(false);
});

it('tells what each key of a rule is for', () => {
  const rule = JSON.stringify(policyJsonSchema());
  expect(rule).toContain('The first rule that matches answers.');
  expect(rule).toContain('Stands in each decision; each name once.');
});
