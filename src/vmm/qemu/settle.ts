import type { DumpStatus, Migration } from './commands.js';
import { stateAsTold } from './events.js';
import { givenAway, guestState } from './run-state.js';
import type { Told, View } from './view.js';

/** QEMU's answers when it was asked how its guest is. */
export interface Answers {
  readonly raw: string;
  readonly migration: Migration;
  readonly dump: DumpStatus;
}

const ELSEWHERE = new Set(['inmigrate', 'finish-migrate', 'postmigrate', 'colo', 'restore-vm']);

/** What is known once QEMU has been asked: its answers win over what events let us think. Pure. */
export const settle = (view: View, answers: Answers): View => {
  const { raw, migration } = answers;
  const here = raw !== 'prelaunch' && !ELSEWHERE.has(raw);
  const hasRun = here || (view.hasRun && !ELSEWHERE.has(raw));
  const takenBack = givenAway(migration) && (here || (view.takenBack && !ELSEWHERE.has(raw)));
  // A dump of a running guest is over when the guest has been continued.
  const dumping = answers.dump.status === 'active' || (view.dumping && raw === 'save-vm');
  const background = { migration, takenBack, dumping };
  return { ...view, ...background, hasRun, raw, state: guestState(raw, background) };
};

/**
 * What such an answer tells that no event did: a guest that stopped for itself (internal-error has no
 * event of its own), or one that is stopped when its migration is over. Pure.
 */
export const news = (before: View, after: View): Told | null =>
  before.state === after.state ? null : stateAsTold(after.raw, after.state);
