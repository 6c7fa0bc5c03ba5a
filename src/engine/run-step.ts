import { isFault } from '../lib/fault.js';
import { withDeadline } from '../lib/with-deadline.js';
import type { Step } from '../policy/policy.js';
import type { Act, Driver, DumpTarget, Outcome } from '../vmm/driver.js';
import { bounded, failed } from './act-bounds.js';
import { messageOf } from './core.js';

/** Asks the driver for a step, and has an outcome whatever it does. */
export const runStep = async (
  driver: Driver,
  step: Step,
  act: Act,
  dumpTarget: () => Promise<DumpTarget>,
): Promise<Outcome> => {
  const { timeoutMs } = act;
  try {
    switch (step.verb) {
      case 'dump': {
        const target = await withDeadline(timeoutMs, dumpTarget());
        if (target === undefined) {
          return failed('DEADLINE_EXCEEDED', 'the directory of dumps hangs');
        }
        return await bounded(driver.dump({ ...act, ...target }), timeoutMs);
      }
      case 'restart':
        return await bounded(
          step.in === 'process' ? driver.restartProcess(act) : driver.restart(act),
          timeoutMs,
        );
      case 'powerOff':
      case 'pause':
      case 'resume':
      case 'nmi':
        return await bounded(driver[step.verb](act), timeoutMs);
      // Carried out by being journaled: none of them comes here.
      case 'hold':
      case 'notify':
      case 'await':
        return { kind: 'applied', proof: [], state: 'unknown' };
    }
  } catch (error) {
    return failed(isFault(error) ? error.reason : 'DRIVER_ERROR', messageOf(error));
  }
};
