import { already, applied, failed, type Running } from '../act.js';
import type { Act, Outcome } from '../driver.js';
import { CONT, STOP } from './commands.js';
import { look } from './look.js';
import type { Session } from './session.js';
import { tell } from './tell.js';
import type { Tuning } from './tuning.js';

/** Stops the guest's CPUs. One that is stopped, for whatever reason, is left as it is. */
export const pause = async (
  session: Session,
  running: Running,
  act: Act,
  tuning: Tuning,
): Promise<Outcome> => {
  const seen = await look(session, running, act, tuning);
  if (!seen.go) return seen.outcome;
  const { state, raw } = seen.inspection;
  if (state !== 'running') return already([`status ${raw}`], state);
  // Noted first, so that the STOP is not taken for one that needs an explanation.
  session.note((view) => ({ ...view, state: 'paused', raw: 'paused' }));
  const status = await tell(session, running, STOP, 'stop');
  running.proof.push(`status ${status}`);
  // It stopped for another reason in the same moment: that has to be told.
  if (status !== 'paused') await running.wait(session.inspect());
  return status === 'running'
    ? failed('NOT_STOPPED', 'the guest still runs', running.proof)
    : applied(running.proof, session.view.state);
};

/** Continues a paused guest; one that waits for a disk, too. No other: it would run on past its death. */
export const resume = async (
  session: Session,
  running: Running,
  act: Act,
  tuning: Tuning,
): Promise<Outcome> => {
  const seen = await look(session, running, act, tuning);
  if (!seen.go) return seen.outcome;
  const { state, raw } = seen.inspection;
  if (state === 'running') return already(['status running'], state);
  if (state !== 'paused' && state !== 'prelaunch' && raw !== 'io-error') {
    return failed(
      'WRONG_STATE',
      `a guest in status ${raw} is restarted or powered off, not continued`,
    );
  }
  const status = await tell(session, running, CONT, 'cont');
  running.proof.push(`status ${status}`);
  return status === 'running'
    ? applied(running.proof, session.view.state)
    : failed('NOT_RUNNING', `the guest does not run: status ${status}`, running.proof);
};
