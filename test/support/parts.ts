import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';
import { findPart, type PartName } from '../../scripts/parts.mjs';

/**
 * A suite against real programs: `describePart('qemu-system-x86_64', 'power off', () => ...)`. Where
 * one is missing the suite is skipped, and its name says what is missing and why, which the summary
 * of `npm test` repeats. Programs are installed before the tests (scripts/parts.mjs), never by them.
 */
export function describePart(
  needed: PartName | readonly PartName[],
  title: string,
  body: () => void,
): void {
  const names = typeof needed === 'string' ? [needed] : needed;
  const missing = names.flatMap((name) => {
    const part = findPart(name);
    return 'missing' in part ? [`${name}: ${part.missing}`] : [];
  });
  if (missing.length === 0) describe(title, body);
  else describe.skipIf(true)(`${title} [needs ${missing.join('; ')}]`, body);
}

/** Absolute path of a program that `describePart` vouched for; throws with the reason when it is missing. */
export function partPath(name: PartName): string {
  const part = findPart(name);
  if ('missing' in part) throw new Error(`${name}: ${part.missing}`);
  return part.path;
}

/** Absolute path of a program that any machine with Node has; throws when it isn't on PATH. */
export function findProgram(name: string): string {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`${name} is not on PATH`);
}
