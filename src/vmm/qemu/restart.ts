import type { ReleaseConfig } from '../../config/config.js';
import { applied, cancelled, failed, type Running } from '../act.js';
import type { Act, Outcome } from '../driver.js';
import { ALLOW_RESET, CONT, parseStatus, QUERY_STATUS, RESET, setAction } from './commands.js';
import { describe, refusedFault } from './errors.js';
import type { Expected } from './event-waiters.js';
import { text } from './json.js';
import { dumped, look } from './look.js';
import type { QmpEvent, Reply } from './messages.js';
import type { Session } from './session.js';
import type { Tuning } from './tuning.js';

const OWN_RESET = 'host-qmp-system-reset';
/** `cont`s sent, should the first have come before the reset was done. */
const MAX_CONTS = 3;

const answersReset = (event: QmpEvent): boolean =>
  (event.name === 'RESET' || event.name === 'SHUTDOWN') && text(event.data, 'reason') === OWN_RESET;
const resumes = (event: QmpEvent): boolean => event.name === 'RESUME';

/**
 * Restart in place: look, then `set-action reboot=reset` (else, with `-no-reboot`, a reset ends the guest),
 * `system_reset`, and `cont` for a guest that doesn't run, all in one write; proven by RESET, and by RESUME or status.
 */
export const restart = async (
  session: Session,
  running: Running,
  act: Act,
  release: ReleaseConfig,
  tuning: Tuning,
): Promise<Outcome> => {
  const seen = await look(session, running, act, tuning);
  if (!seen.go) return seen.outcome;
  const { raw, state } = seen.inspection;
  // Reset before, by us or another, and not continued: only that is left to do.
  const continued = raw === 'prelaunch';
  const runs = state === 'running';
  const { boots, resumed } = act.cause;
  // Another source's word, or an operator's: this driver can't tell whether it is of this boot.
  if (runs && boots === null && !resumed) {
    return cancelled('STATE_DISAGREES', 'the guest runs, and nothing shows that it died');
  }
  if (continued) running.proof.push('status prelaunch: reset already');

  const reset = session.expect(answersReset);
  // One that came before the reset says nothing of what came after it.
  const resume = session.expect((event) => resumes(event) && (continued || reset.seen()));
  try {
    if (!continued) {
      running.point('system_reset');
      session.note((view) => ({ ...view, ownResets: view.ownResets + 1 }));
      const sent = session.execute(
        // The status is asked for later: QEMU would answer it before it lets the guest run.
        runs ? [ALLOW_RESET, RESET] : [ALLOW_RESET, RESET, CONT],
        // The verb's own deadline comes first; the connection gives up after it.
        running.leftMs() + tuning.commandTimeoutMs,
      );
      running.wrote(...(runs ? ['system_reset'] : ['system_reset', 'cont']));
      const refused = await seeReset(running, sent, reset.event);
      if (refused !== null) return refused;
    }
    return await seeRunning(session, running, resume, { release, tuning, contFirst: continued });
  } finally {
    reset.forget();
    resume.forget();
  }
};

/** Waits for the RESET and for what came with it; an outcome when it can't come. */
const seeReset = async (
  running: Running,
  sent: Promise<readonly Reply[]>,
  reset: Promise<QmpEvent>,
): Promise<Outcome | null> => {
  // Whichever comes first: a lost connection rejects `sent`, and then no RESET comes.
  const event = await running.wait(
    Promise.race([reset, sent.then((replies) => judge(running, replies, reset))]),
  );
  if (event.name === 'SHUTDOWN') {
    return failed(
      'RESET_REFUSED',
      'QEMU turned the reset into a shutdown: this guest can not be reset in place',
      [...running.proof, `SHUTDOWN ${OWN_RESET} seen`],
    );
  }
  running.point('RESET:seen');
  running.proof.push(`RESET ${OWN_RESET} seen`);
  await running.wait(sent);
  return null;
};

const judge = (
  running: Running,
  [allowed, accepted]: readonly Reply[],
  reset: Promise<QmpEvent>,
): Promise<QmpEvent> => {
  if (accepted?.ok === false) throw refusedFault(RESET.name, accepted.error);
  // QEMU before 6.0 has no set-action, and resets all the same unless it was told not to.
  if (allowed?.ok === false) running.proof.push('set-action refused');
  return reset;
};

interface Rest {
  readonly release: ReleaseConfig;
  readonly tuning: Tuning;
  /** `cont` has not been sent yet. */
  readonly contFirst: boolean;
}

/** Waits until the guest runs, and says so in QEMU's own words. */
const seeRunning = async (
  session: Session,
  running: Running,
  resume: Expected,
  { release, tuning, contFirst }: Rest,
): Promise<Outcome> => {
  let status: string | null = null;
  for (let conts = 0; !resume.seen(); conts += 1) {
    const answer = await ask(session, running, contFirst || conts > 0);
    status = answer.status;
    if (status === 'running' || resume.seen()) break;
    if (conts === MAX_CONTS) {
      return failed(
        'NOT_RUNNING',
        `the guest was reset but does not run: status ${status} ${answer.refusal}`.trim(),
        running.proof,
      );
    }
    // Refused because of a dump that somebody began in this very moment: it ends.
    await running.wait(session.inspect());
    await dumped(session, running, tuning);
  }
  // A guest that was continued and has stopped again was restarted all the same: that is news of its own.
  if (resume.seen()) running.proof.push('RESUME seen');
  if (status !== null) running.proof.push(`status ${status}`);
  if (release.reboot === 'shutdown') {
    const [put] = await running.wait(session.execute([setAction({ reboot: 'shutdown' })]));
    running.proof.push(
      put?.ok === true ? 'reboot=shutdown put back' : 'reboot=shutdown not put back',
    );
  }
  return applied(running.proof, session.view.state);
};

const ask = async (
  session: Session,
  running: Running,
  cont: boolean,
): Promise<{ readonly status: string; readonly refusal: string }> => {
  if (cont) running.point('cont');
  const sent = session.execute(cont ? [CONT, QUERY_STATUS] : [QUERY_STATUS]);
  if (cont) running.wrote('cont');
  const replies = await running.wait(sent);
  const first = cont ? replies[0] : undefined;
  return {
    status: parseStatus(replies.at(-1)),
    refusal: first?.ok === false ? describe(first.error) : '',
  };
};
