import { applied, type Running } from '../act.js';
import type { Act, Outcome } from '../driver.js';
import { POWERDOWN, QUIT, WAKEUP } from './commands.js';
import { look } from './look.js';
import type { Session } from './session.js';
import type { Tuning } from './tuning.js';

/** Kept back of the deadline for `quit`, which takes some ms; more where block devices must be flushed. */
const QUIT_SHARE = 0.25;
const QUIT_MAX_MS = 10_000;

/**
 * Ends the process. A guest that runs is asked first, by its power button, for as long as the deadline allows;
 * one that is stopped could not answer. `gone` resolves when nobody is behind the socket any more.
 */
export const powerOff = async (
  session: Session,
  running: Running,
  act: Act,
  tuning: Tuning,
  gone: Promise<void>,
): Promise<Outcome> => {
  const seen = await look(session, running, act, tuning);
  if (!seen.go) return seen.outcome;
  const { state } = seen.inspection;
  const asked = state === 'running' || state === 'suspended';
  if (asked && (await button(session, running, gone, state === 'suspended')) === 'gone') {
    return applied([...running.proof, 'process gone'], 'exited');
  }
  running.point('quit');
  session.note((view) => ({ ...view, ownQuit: true }));
  const sent = session.execute([QUIT]);
  running.wrote('quit');
  // QEMU may end before it has answered: that the process is gone is what counts.
  sent.catch(() => undefined);
  await running.wait(gone);
  running.proof.push('quit sent', 'process gone');
  return applied(running.proof, 'exited');
};

const button = async (
  session: Session,
  running: Running,
  gone: Promise<void>,
  asleep: boolean,
): Promise<'gone' | 'stays'> => {
  const shutdown = session.expect((event) => event.name === 'SHUTDOWN');
  try {
    running.point('system_powerdown');
    const sent = session.execute(asleep ? [WAKEUP, POWERDOWN] : [POWERDOWN]);
    sent.catch(() => undefined);
    running.wrote('system_powerdown');
    const leftMs = running.leftMs();
    const patienceMs = leftMs - Math.min(QUIT_MAX_MS, leftMs * QUIT_SHARE);
    // The end of the connection alone does not show that the process is gone.
    const ended = gone.then(() => 'gone' as const);
    const first = await running.waitFor(
      Promise.race([ended, shutdown.event.catch(() => ended)]),
      patienceMs,
    );
    if (first === 'gone') return 'gone';
    if (first === null) {
      running.proof.push(`the guest did not power off in ${Math.round(patienceMs)} ms`);
      return 'stays';
    }
    running.proof.push('SHUTDOWN seen');
    // It powered off. QEMU ends by itself, or with `-no-shutdown` stays until it is told to quit.
    const stays = session.stays().then(
      () => 'stays' as const,
      () => ended,
    );
    return await running.wait(Promise.race([ended, stays]));
  } finally {
    shutdown.forget();
  }
};
