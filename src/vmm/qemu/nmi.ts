import { applied, failed, type Running } from '../act.js';
import type { Act, Outcome } from '../driver.js';
import { NMI, parseStatus, QUERY_STATUS } from './commands.js';
import { refusedFault } from './errors.js';
import { look } from './look.js';
import type { Session } from './session.js';
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
  running.point('inject-nmi');
  const sent = session.execute([NMI, QUERY_STATUS]);
  running.wrote('inject-nmi');
  const [accepted, status] = await running.wait(sent);
  if (accepted?.ok === false) throw refusedFault(NMI.name, accepted.error);
  running.proof.push('inject-nmi accepted', `status ${parseStatus(status)}`);
  return applied(running.proof, session.view.state);
};
