import { it } from 'vitest';
import { killRounds } from '../support/kill-random.js';
import { KillRig } from '../support/kill-rig.js';
import { describePart } from '../support/parts.js';

const { atPoint } = killRounds();

/** Around the intent's commit, around each command of a restart, and before the outcome's commit. */
const POINTS = [
  'intent:before',
  'intent:after',
  'system_reset',
  'system_reset:written',
  'RESET:seen',
  'cont:written',
  'outcome:before',
];

describePart('qemu-system-x86_64', 'a life killed while it answers a panic', () => {
  it.each(POINTS)(
    `is followed by one that restarts the guest just once: killed ${atPoint} times at %s`,
    async (point) => {
      const rig = await KillRig.start('[restart]');
      for (let round = 0; round < atPoint; round += 1) await rig.killAt(await rig.live(), point);
      await rig.finish(['restart']);
      console.log(`${point}: ${rig.tally()}`);
    },
    30_000 + atPoint * 5_000,
  );
});
