import type { Running } from '../act.js';
import type { Act, Inspection, Outcome } from '../driver.js';
import { refuse } from '../refuse.js';
import type { Session } from './session.js';
import type { Tuning } from './tuning.js';

/** A migration takes longer than this many looks at `answerMaxAgeMs` each; a host that is slower than that gets its act all the same. */
const MAX_LOOKS = 5;

export type Look =
  | { readonly go: true; readonly inspection: Inspection }
  | { readonly go: false; readonly outcome: Outcome };

/**
 * Looks before a verb acts: nothing migrating, never started, or run on since the cause is touched. While
 * somebody's dump is being written it waits, since QEMU would accept a reset that spoils it.
 */
export const look = async (
  session: Session,
  running: Running,
  act: Act,
  tuning: Tuning,
): Promise<Look> => {
  let inspection = await fresh(session, running, tuning);
  if (session.view.dumping) {
    await dumped(session, running, tuning);
    inspection = await fresh(session, running, tuning);
  }
  const outcome = refuse(inspection, act, {
    hasRun: session.view.hasRun,
    migration: session.view.migration.status,
  });
  return outcome === null ? { go: true, inspection } : { go: false, outcome };
};

/** Waits until no dump is being written. */
export const dumped = async (session: Session, running: Running, tuning: Tuning): Promise<void> => {
  while (session.view.dumping) {
    await running.sleep(tuning.dumpPollMs);
    await running.wait(session.inspect());
  }
};

/** An answer that lay about is old: what it says of a migration may be over by now. */
const fresh = async (session: Session, running: Running, tuning: Tuning): Promise<Inspection> => {
  for (let looks = 1; ; looks += 1) {
    const asked = performance.now();
    const inspection = await running.wait(session.look(tuning.answerMaxAgeMs));
    if (performance.now() - asked <= tuning.answerMaxAgeMs || looks === MAX_LOOKS)
      return inspection;
  }
};
