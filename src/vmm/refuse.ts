import { already, unsupported, unverified } from './act.js';
import type { Act, Inspection, Outcome } from './driver.js';

/** What an inspection alone does not say. */
export interface Background {
  /** The guest has run in this process: `prelaunch` then means reset and not continued. */
  readonly hasRun: boolean;
  /** The VMM's own word for a migration's status. */
  readonly migration: string;
}

/**
 * Why a guest that was inspected just now is not touched by any verb: it migrates, was never started, or has run on
 * since the cause. null: nothing speaks against it.
 */
export const refuse = (
  { state, raw, boots }: Inspection,
  act: Act,
  { hasRun, migration }: Background,
): Outcome | null => {
  switch (state) {
    case 'migrating':
      return unsupported(
        'MIGRATING',
        `the guest is on its way (status ${raw}, migration ${migration}): it is not touched`,
      );
    case 'prelaunch':
      // What an act of ours left half done, or what is known to have run, is no guest that was never started.
      return hasRun || act.cause.resumed
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
