import { build, isFresh } from '../../scripts/build.mjs';

/**
 * Once before all tests: what tests start as a process (the program, its worker thread, the stand-in
 * guest) is the bundle, so it has to match the sources. A build that fails is said loudly and left
 * to the tests that need it; `npm test` counts the build as a check of its own.
 */
export default async function setUp(): Promise<void> {
  if (isFresh()) return;
  try {
    await build({ keepOld: true });
  } catch (error) {
    console.error(`dist/ is out of date: ${error instanceof Error ? error.message : error}`);
  }
}
