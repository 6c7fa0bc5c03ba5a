import { it } from 'vitest';
import { killRounds, killSeed, seededRandom } from '../support/kill-random.js';
import { KillRig } from '../support/kill-rig.js';
import { describePart } from '../support/parts.js';

const { atPoint, atRandom } = killRounds();

/** Where the first life is killed, and where the second, while it settles that. */
const POINTS = [
  ['intent:before', 'intent:before'],
  ['intent:before', 'intent:after'],
  ['intent:before', 'RESET:seen'],
  ['intent:after', 'intent:after'],
  ['intent:after', 'system_reset:written'],
  ['intent:after', 'outcome:before'],
  ['system_reset', 'cont:written'],
] as const;

describePart('qemu-system-x86_64', 'two lives killed one after the other', () => {
  it.each(POINTS)(
    `are followed by one that restarts the guest just once: at %s, then at %s, ${atPoint} times`,
    async (first, second) => {
      const rig = await KillRig.start('[restart]');
      for (let round = 0; round < atPoint; round += 1) {
        await rig.killAt(await rig.live(), first);
        await rig.killWhileResuming(second);
      }
      await rig.finish(['restart']);
      console.log(`${first}, ${second}: ${rig.tally()}`);
    },
    30_000 + atPoint * 5_000,
  );

  it(
    `are followed by one that answers just once: the second at a random moment, ${atRandom} times`,
    async () => {
      const seed = killSeed();
      const random = seededRandom(seed);
      const rig = await KillRig.start('[restart]');
      let bornMs = 0;
      for (let round = 0; round < atRandom; round += 1) {
        const startedMs = performance.now();
        const life = await rig.live();
        bornMs = performance.now() - startedMs;
        await rig.killAt(life, random() < 0.5 ? 'intent:before' : 'intent:after');
        // From before it opens the journal until it has settled what it found.
        await rig.killAfter(bornMs * (0.4 + 0.7 * random()));
      }
      await rig.finish(['restart']);
      console.log(`seed ${seed}: ${rig.tally()}`);
    },
    30_000 + atRandom * 5_000,
  );
});
