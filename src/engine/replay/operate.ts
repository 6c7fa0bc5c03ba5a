import type { OperatorAct } from '../../gen/vmwarden/v1/record.js';
import { callOff, openAct } from '../operator-change.js';
import { ACT_VERBS } from '../operators.js';
import type { Lives } from './lives.js';

/**
 * An operator did then what no policy decides on; so it is done under any. What ends an incident lets the events that
 * waited for that be answered: with a VMM in reach or not, and a place on the host or none (`full`), as it was then.
 */
export const operate = (
  lives: Lives,
  vm: string,
  sequence: number,
  act: OperatorAct,
  { reachable, full }: { readonly reachable: boolean; readonly full: boolean },
): void => {
  const { verb, budget } = act;
  const asked = ACT_VERBS.find((one) => one === verb);
  if (asked !== undefined) {
    open(lives, vm, sequence, { ...act, verb: asked });
    return;
  }
  switch (verb) {
    case 'cancel':
      lives.change(vm, reachable, (row, stamp) => callOff(row, 'cancel', act, stamp), full);
      return;
    case 'hold':
      lives.change(
        vm,
        reachable,
        (row, stamp) => {
          const hold = { at: stamp.now, reason: act.reason, actor: act.actor };
          return callOff({ ...row, hold }, 'hold', act, stamp);
        },
        full,
      );
      return;
    case 'release':
      lives.operate(vm, (row) => ({ ...row, hold: null, remark: '', answered: null }));
      return;
    case 'holdHost':
    case 'releaseHost':
      lives.holdHost(verb === 'holdHost');
      return;
    case 'resetBudget':
      lives.operate(vm, (row) => ({
        ...row,
        attempts: Object.fromEntries(
          Object.entries(row.attempts).filter(([name]) => budget !== '' && name !== budget),
        ),
      }));
  }
};

/** The incident of an operator's act goes on as it did, where nothing else is open. */
const open = (
  lives: Lives,
  vm: string,
  sequence: number,
  { verb, ...by }: OperatorAct & { readonly verb: (typeof ACT_VERBS)[number] },
): void => {
  if (lives.row(vm)?.incident !== null) return;
  const inspection = { state: 'unknown', raw: 'unknown', bootId: '', boots: 0 } as const;
  const place = { sequence, life: lives.life };
  // How long it might have taken is not asked of a replay: its end is told.
  const asked = { verb, timeoutMs: 0 };
  lives.operate(vm, (row, stamp) => openAct(row, asked, by, inspection, place, stamp).row);
  lives.follow(vm, lives.row(vm)?.incident?.id ?? null);
};
