// `npm test`: static checks, real programs, tests; the last line sums up. Arguments go to vitest.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './command.mjs';
import { preparePartsForRun } from './parts.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const vitestArguments = process.argv.slice(2);
const isCi = process.env['CI'] === 'true';
const onlySomeByName = vitestArguments.some((arg) => /^(-t|--testNamePattern)/.test(arg));

const runDir = mkdtempSync(join(tmpdir(), 'vmwarden-test-'));
process.env['VMWARDEN_RUN_DIR'] = runDir;
process.on('exit', () => rmSync(runDir, { recursive: true, force: true }));

const bin = (/** @type {string} */ name) => join('node_modules/.bin', name);

/** @type {readonly (readonly [string, readonly [string, ...string[]]])[]} */
const checks = [
  ['typecheck', [bin('tsc'), '--noEmit']],
  ['biome', [bin('biome'), 'check', '--error-on-warnings', '.']],
  ['dependency directions', [bin('depcruise'), '--config', '.dependency-cruiser.cjs', 'src']],
  ['buf lint', [bin('buf'), 'lint']],
  ['buf breaking', [bin('buf'), 'breaking', '--against', 'proto/released/vmwarden-v1.binpb']],
  ['build', [process.execPath, 'scripts/build.mjs']],
];

/** @type {string[]} */
const failed = [];
let passed = 0;

for (const [name, command] of checks) {
  const startedAt = performance.now();
  const result = await run(command, { timeoutMs: 300_000 });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${result.ok ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (result.ok) {
    passed += 1;
  } else {
    failed.push(`${name}: ${result.problem}`);
    console.log(result.output);
  }
}

await preparePartsForRun(console.log);

const reporters = ['--reporter=default', '--reporter=./scripts/summary-reporter.mjs'];
const tests = await run([bin('vitest'), 'run', ...reporters, ...vitestArguments], {
  timeoutMs: 1_500_000,
  show: true,
});
const summary = readSummary();
passed += summary.passed;
failed.push(...summary.failed);
if (!tests.ok && summary.failed.length === 0) failed.push(`vitest: ${tests.problem}`);

/** @type {Map<string, string[]>} */
const skippedByReason = new Map();
for (const { name, reason } of summary.skipped) {
  skippedByReason.set(reason, [...(skippedByReason.get(reason) ?? []), name]);
}
for (const [reason, names] of skippedByReason) {
  console.log(`skipped, ${reason === '' ? 'no reason given' : reason}:`);
  for (const name of names) console.log(`  ${name}`);
  if (isCi && reason.startsWith('needs ')) failed.push(`in CI nothing may be missing: ${reason}`);
  if (reason === '' && !onlySomeByName) failed.push('a skipped test must say why');
}
if (failed.length > 0) {
  console.log('failed:');
  for (const name of failed) console.log(`  ${name}`);
  process.exitCode = 1;
}
console.log(`${passed} passed, ${failed.length} failed, ${summary.skipped.length} skipped`);

/** @returns {import('./summary-reporter.mjs').Summary} */
function readSummary() {
  try {
    return JSON.parse(readFileSync(join(runDir, 'summary.json'), 'utf8'));
  } catch {
    return { passed: 0, failed: ['vitest ended without a summary'], skipped: [] };
  }
}
