import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { ANOMALIES } from '../../src/event/anomaly.js';
import { EVENT_TYPES } from '../../src/event/event-type.js';
import { STEP_WORDS } from '../../src/policy/document.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { PROBLEMS, WARNINGS } from '../../src/policy/problem.js';

const page = await readFile(new URL('../../docs/policy.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? '');
const names = examples.map((text) => /name: ([\w-]+)/.exec(text)?.[1] ?? '');

it('has the whole file and three recipes', () => {
  expect(names).toEqual(['production', 'look-first', 'keep-evidence', 'always-on']);
});

it.each(names.map((name, index) => [name, examples[index] ?? ''] as const))(
  'example %s is a good policy without a warning',
  (name, text) => {
    const parsed = parsePolicy(text, `${name}.yaml`);
    expect(parsed).toMatchObject({ ok: true, warnings: [], policy: { name } });
  },
);

it('names every event type, step and warning', () => {
  for (const word of [...EVENT_TYPES, ...STEP_WORDS, ...Object.values(WARNINGS)]) {
    expect(page).toContain(`\`${word}\``);
  }
  expect(ANOMALIES.some((anomaly) => page.includes(anomaly))).toBe(true);
});

it('gives each problem and warning an id of its own', () => {
  const ids = [...Object.values(PROBLEMS), ...Object.values(WARNINGS)];
  expect(new Set(ids).size).toBe(ids.length);
});
