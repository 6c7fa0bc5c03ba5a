import type { StormState } from '../policy/policy.js';
import { CALM } from '../policy/storm.js';

/** The host's own row: what the storm guard knows, so that a kill -9 in a storm doesn't end it. */
export const STORM_ROW = 'host/storm';

interface Stored {
  readonly format: 1;
  readonly storm: StormState;
}

export const encodeStorm = (storm: StormState): Uint8Array => {
  const stored: Stored = { format: 1, storm };
  return Buffer.from(JSON.stringify(stored));
};

/** One that can't be read is taken for calm: the guard holds restarts back, and nothing rests on it. */
export const decodeStorm = (bytes: Uint8Array | undefined): StormState => {
  if (bytes === undefined) return CALM;
  try {
    const stored = JSON.parse(Buffer.from(bytes).toString()) as Partial<Stored> | null;
    return stored?.format === 1 && stored.storm !== undefined ? stored.storm : CALM;
  } catch {
    return CALM;
  }
};
