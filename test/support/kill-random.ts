/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** `VMWARDEN_KILL_SEED` when it is set, else another one each time; print it with what you do with it. */
export const killSeed = (): number =>
  Number(process.env['VMWARDEN_KILL_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

/**
 * Rounds at each named point and at random moments: `VMWARDEN_KILL_ROUNDS=10/50` for all of them; fewer by default,
 * so that `npm test` stays short.
 */
export const killRounds = (): { readonly atPoint: number; readonly atRandom: number } => {
  const [atPoint, atRandom] = (process.env['VMWARDEN_KILL_ROUNDS'] ?? '3/12')
    .split('/')
    .map(Number);
  if (!isCount(atPoint) || !isCount(atRandom)) {
    throw new Error('VMWARDEN_KILL_ROUNDS: expected rounds at each point and at random, as 10/50');
  }
  return { atPoint, atRandom };
};

const isCount = (count: number | undefined): count is number =>
  Number.isSafeInteger(count) && (count ?? 0) > 0;
