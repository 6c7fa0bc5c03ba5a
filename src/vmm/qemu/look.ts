import type { Act, Inspection, Outcome } from '../driver.js';
import { already, type Running, unsupported, unverified } from './act.js';
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
  const outcome = refuse(session, inspection, act);
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

const refuse = (session: Session, inspection: Inspection, act: Act): Outcome | null => {
  const { state, raw, boots } = inspection;
  switch (state) {
    case 'migrating':
      return unsupported(
        'MIGRATING',
        `the guest is on its way (status ${raw}, migration ${session.view.migration.status}): it is not touched`,
      );
    case 'prelaunch':
      // What an act of ours left half done, or what is known to have run, is no guest that was never started.
      return session.view.hasRun || act.cause.resumed
        ? null
        : unsupported('NOT_STARTED', 'the guest has not been started yet');
    case 'unknown':
    case 'exited':
      return unsupported('STATE_UNKNOWN', `status ${raw} is none that vmwarden acts on`);
    case 'running':
      return refuseRunning(boots, act);
    case 'paused':
    case 'panicked':
    case 'shutdown':
    case 'suspended':
    case 'watchdog':
    case 'error':
      return null;
  }
};

/** The count of boots with which a connection begins, when nothing was missed before it. */
const FIRST_BOOTS = 1;

const refuseRunning = (boots: number, { cause }: Act): Outcome | null => {
  // An operator's, or an event that another source told of: how often it has booted since is not known. A
  // restart is refused for that, by itself.
  if (cause.boots === null && !cause.resumed) return null;
  const since = cause.boots ?? FIRST_BOOTS;
  if (boots > since) {
    return already(['status running', `${boots - since} boots seen since the event`], 'running');
  }
  return cause.boots !== null
    ? null
    : unverified(
        'BOOT_UNKNOWN',
        'the guest runs, and whether it has booted since the event can not be shown: it is not touched',
      );
};
