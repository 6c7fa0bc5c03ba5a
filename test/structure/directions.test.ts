import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import {
  cruise,
  type ICruiseOptions,
  type ICruiseResult,
  type IForbiddenRuleType,
} from 'dependency-cruiser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

// That the sources keep to the rules is a check of `npm run lint`; here: that the rules see a breach.

interface Breach {
  readonly rule: string;
  readonly files: Readonly<Record<string, string>>;
}

const breaches: readonly Breach[] = [
  {
    rule: 'no-cycles',
    files: {
      'src/engine/a.ts': "import type { B } from './b.js';\nexport interface A { b: B }\n",
      'src/engine/b.ts': "import type { A } from './a.js';\nexport interface B { a: A }\n",
    },
  },
  { rule: 'no-orphans', files: { 'src/engine/a.ts': 'export const a = 1;\n' } },
  { rule: 'no-unresolvable', files: { 'src/main.ts': "import './nowhere.js';\n" } },
  {
    rule: 'runtime-dependencies-only',
    files: { 'src/main.ts': "import fc from 'fast-check';\nfc.assert;\n" },
  },
  {
    rule: 'core-is-pure',
    files: { 'src/event/a.ts': "import { readFileSync } from 'node:fs';\nreadFileSync('');\n" },
  },
  {
    rule: 'core-imports-core-only',
    files: { 'src/policy/a.ts': "import { pino } from 'pino';\npino();\n" },
  },
  {
    rule: 'core-reaches-only-pure-code',
    files: {
      'src/event/a.ts': "import { b } from '../lib/b.js';\nexport const a = b;\n",
      'src/lib/b.ts': "import { c } from '../gen/c.js';\nexport const b = c;\n",
      'src/gen/c.ts': 'export const c = 1;\n',
    },
  },
  importing('event-before-policy', 'src/event/a.ts', 'src/policy/b.ts'),
  importing('lib-knows-nothing-of-ours', 'src/lib/a.ts', 'src/event/b.ts'),
  {
    rule: 'engine-does-no-io',
    files: { 'src/engine/a.ts': "import { readFileSync } from 'node:fs';\nreadFileSync('');\n" },
  },
  importing('engine-knows-contracts-only', 'src/engine/a.ts', 'src/vmm/registry.ts'),
  importing('server-knows-engine-and-contracts', 'src/server/a.ts', 'src/telemetry/b.ts'),
  importing('only-the-root-names-implementations', 'src/server/a.ts', 'src/vmm/qemu/driver.ts'),
  importing('only-the-root-names-implementations', 'src/engine/a.ts', 'src/journal/lmdb/b.ts'),
  importing('fleet-reads-redis', 'src/fleet/a.ts', 'src/bus/redis/redis-bus.ts'),
  importing('implementations-stand-alone', 'src/vmm/qemu/driver.ts', 'src/engine/b.ts'),
  importing('drivers-stand-alone', 'src/vmm/qemu/driver.ts', 'src/vmm/observe/driver.ts'),
  importing('nobody-imports-upwards', 'src/server/a.ts', 'src/app.ts'),
  importing('main-is-imported-by-nobody', 'src/cli/a.ts', 'src/main.ts'),
  {
    rule: 'lmdb-in-its-folder',
    files: { 'src/cli/a.ts': "import { open } from 'lmdb';\nopen({});\n" },
  },
  {
    rule: 'redis-in-its-folder',
    files: { 'src/cli/a.ts': "import { Redis } from 'ioredis';\nnew Redis();\n" },
  },
  {
    rule: 'grpc-at-the-edges',
    files: { 'src/engine/a.ts': "import { Server } from '@grpc/grpc-js';\nnew Server();\n" },
  },
];

function importing(rule: string, from: string, to: string): Breach {
  const specifier = `${'../'.repeat(from.split('/').length - 1)}${to.replace(/[.]ts$/, '.js')}`;
  return {
    rule,
    files: {
      [from]: `import { x } from '${specifier}';\nexport const y = x;\n`,
      [to]: 'export const x = 1;\n',
    },
  };
}

const config: { forbidden: IForbiddenRuleType[]; options: ICruiseOptions } = createRequire(
  import.meta.url,
)('../../.dependency-cruiser.cjs');

describe('the rules of dependency-cruiser', () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'vmwarden-directions-'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  test.each(breaches)('$rule is seen', async ({ rule, files }) => {
    const tree = await mkdtemp(join(scratch, 'tree-'));
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(tree, dirname(path)), { recursive: true });
      await writeFile(join(tree, path), text);
    }
    for (const name of ['node_modules', 'package.json', 'tsconfig.json']) {
      await symlink(resolve(name), join(tree, name));
    }
    const { output } = await cruise(['src'], {
      ...config.options,
      ruleSet: { forbidden: config.forbidden },
      validate: true,
      baseDir: tree,
      preserveSymlinks: true,
    });
    const found = (output as ICruiseResult).summary.violations.map((it) => it.rule.name);
    expect(found).toContain(rule);
  });

  test('each of them has a case here', () => {
    const covered = new Set(breaches.map((it) => it.rule));
    expect(
      config.forbidden.map((it) => it.name).filter((name) => !covered.has(name ?? '')),
    ).toEqual([]);
  });
});
