import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A vitest reporter (`onTestRunEnd` of `Reporter` in vitest/node).
 * Writes what `npm test` sums up at the end to `$VMWARDEN_RUN_DIR/summary.json`.
 *
 * @typedef {{ passed: number, failed: string[], skipped: { name: string, reason: string }[] }} Summary
 *   `reason` is '' when a test was skipped without saying why
 */
export default class SummaryReporter {
  /**
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly unknown[]} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    /** @type {Summary} */
    const summary = { passed: 0, failed: [], skipped: [] };
    for (const module of modules) {
      if (module.errors().length > 0)
        summary.failed.push(`${module.relativeModuleId} (loading it)`);
      for (const suite of module.children.allSuites()) {
        if (suite.errors().length > 0) summary.failed.push(`${suite.fullName} (its hooks)`);
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        const name = `${module.relativeModuleId}: ${test.fullName}`;
        switch (result.state) {
          case 'passed':
            summary.passed += 1;
            break;
          case 'skipped':
            summary.skipped.push({ name, reason: result.note ?? neededPart(test.fullName) });
            break;
          default:
            summary.failed.push(name);
        }
      }
    }
    for (const error of unhandledErrors) summary.failed.push(`unhandled error: ${error}`);
    const runDir = process.env['VMWARDEN_RUN_DIR'];
    if (runDir !== undefined) {
      writeFileSync(join(runDir, 'summary.json'), JSON.stringify(summary));
    }
  }
}

/** The reason that `describePart` puts into a suite's name. @param {string} fullName */
function neededPart(fullName) {
  return /\[(needs [^\]]+)\]/.exec(fullName)?.[1] ?? '';
}
