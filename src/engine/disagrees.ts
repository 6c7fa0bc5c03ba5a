import type { Driver, Outcome } from '../vmm/driver.js';
import { cancelled } from './advance.js';
import { messageOf } from './core.js';
import { speaksOf } from './incident.js';
import type { Incident } from './vm-row.js';

/** What no driver saw is acted on only if the VMM shows the state it speaks of: it may be late, or of another boot. */
export const disagrees = async (
  driver: Driver,
  incident: Incident,
  signal: AbortSignal,
): Promise<Outcome | null> => {
  const { type } = incident.facts.event;
  try {
    const { state, raw } = await driver.inspect(signal);
    if (speaksOf(type, state)) return null;
    return cancelled('STATE_DISAGREES', `${type} without a boot id, but the guest is ${raw}`);
  } catch (error) {
    return cancelled('CANNOT_INSPECT', `${type} was reported, but ${messageOf(error)}`);
  }
};
