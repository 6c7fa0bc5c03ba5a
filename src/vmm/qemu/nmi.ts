import { applied, failed, type Running } from '../act.js';
import type { Act, Outcome } from '../driver.js';
import { NMI } from './commands.js';
import { look } from './look.js';
import type { Session } from './session.js';
import { tell } from './tell.js';
import type { Tuning } from './tuning.js';

/** Sends all CPUs an NMI, for a kernel that panics or dumps on it. A guest that is stopped would not see it. */
export const nmi = async (
  session: Session,
  running: Running,
  act: Act,
  tuning: Tuning,
): Promise<Outcome> => {
  const seen = await look(session, running, act, tuning);
  if (!seen.go) return seen.outcome;
  const { state, raw } = seen.inspection;
  if (state !== 'running') {
    return failed('WRONG_STATE', `a guest in status ${raw} takes no NMI`);
  }
  const status = await tell(session, running, NMI, 'inject-nmi');
  running.proof.push('inject-nmi accepted', `status ${status}`);
  return applied(running.proof, session.view.state);
};
