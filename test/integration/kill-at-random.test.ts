import { it } from 'vitest';
import { killRounds, killSeed, seededRandom } from '../support/kill-random.js';
import { KillRig } from '../support/kill-rig.js';
import { describePart } from '../support/parts.js';

const { atRandom } = killRounds();
/** A plan, and from the panic on the time in which it is carried out, and some more. */
const PLANS = [
  ['[restart]', 15],
  ['[dump, restart]', 40],
] as const;

describePart('qemu-system-x86_64', 'a life killed at a random moment after a panic', () => {
  it.each(PLANS)(
    `is followed by one that answers it just once: %s, ${atRandom} times`,
    async (plan, longestMs) => {
      const seed = killSeed();
      const random = seededRandom(seed);
      const rig = await KillRig.start(plan);
      for (let round = 0; round < atRandom; round += 1) {
        const life = await rig.live();
        rig.panic();
        await new Promise((resolve) => setTimeout(resolve, random() * longestMs));
        await life.kill();
      }
      await rig.finish(['restart']);
      console.log(`seed ${seed}, ${plan}: ${rig.tally()}`);
    },
    30_000 + atRandom * 5_000,
  );
});
