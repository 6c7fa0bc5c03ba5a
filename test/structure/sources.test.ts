import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test('no source file is longer than 300 lines', () => {
  const long = filesBelow('src')
    .filter((path) => path.endsWith('.ts') && !path.startsWith('src/gen/'))
    .map((path) => ({ path, lines: readFileSync(path, 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > 300);
  expect(long).toEqual([]);
});

test('nothing names a path of somebody’s machine', () => {
  const here = new URL(import.meta.url).pathname;
  const texts = ['src', 'test', 'scripts', 'docs', 'proto', 'bin', '.ci']
    .filter((folder) => existsSync(folder))
    .flatMap(filesBelow)
    .concat(readdirSync('.').filter((name) => /\.(md|json|yaml|ts|cjs)$/.test(name)))
    .filter((path) => !here.endsWith(path) && !/\.(binpb|bin|elf|jsonl|fd)$/.test(path));
  // A home, a checkout, or a scratch file by a fixed name, which two runs would share.
  const machinePath = /(?<![\w.~-])\/(?:work|home\/(?!vmwarden)\w+|Users\/\w+|root)\/|['"`]\/tmp\//;
  expect(texts.filter((path) => machinePath.test(readFileSync(path, 'utf8')))).toEqual([]);
});

test('the pure core uses no randomness', () => {
  const impure = ['src/event', 'src/policy']
    .flatMap(filesBelow)
    .filter((path) => /\bMath\.random\b/.test(readFileSync(path, 'utf8')));
  expect(impure).toEqual([]);
});
