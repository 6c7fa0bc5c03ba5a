import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { apiReference, errorReference } from '../../scripts/docs.mjs';
import { REASONS } from '../../src/server/reasons.js';

test('docs/api.md is what `npm run generate` makes of the protos', () => {
  expect(readFileSync('docs/api.md', 'utf8')).toBe(apiReference());
});

test('docs/errors.md is what `npm run generate` makes of the reasons', async () => {
  expect(readFileSync('docs/errors.md', 'utf8')).toBe(await errorReference());
});

test('each reason that a caller can get is in the table, with its status', () => {
  const reachable = ['src/server', 'src/engine', 'src/record', 'src/journal'];
  const sources = reachable
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    )
    .filter((path) => path.endsWith('.ts') && !path.endsWith('listen-unix.ts'))
    .map((path) => readFileSync(path, 'utf8'));
  const thrown = sources.flatMap((text) =>
    [...text.matchAll(/new Fault\(\s*'([A-Z_]+)',\s*'([A-Z_]+)'/g)].map(
      ([, code = '', reason = '']) => `${reason} ${code}`,
    ),
  );
  const listed = new Set(
    Object.entries(REASONS).flatMap(([reason, { code, also }]) =>
      [code, ...(also === undefined ? [] : [also])].map((one) => `${reason} ${one}`),
    ),
  );
  expect(thrown.length).toBeGreaterThan(30);
  expect([...new Set(thrown)].filter((one) => !listed.has(one))).toEqual([]);
  // The normalizer's problems become INVALID_ARGUMENT by their own codes.
  const codes = readFileSync('src/event/problem.ts', 'utf8').matchAll(/\| '([A-Z_]+)'/g);
  const known = new Set([
    ...thrown,
    ...[...codes].map(([, code = '']) => `${code} INVALID_ARGUMENT`),
  ]);
  expect([...listed].filter((one) => !known.has(one))).toEqual([]);
});
