import { it } from 'vitest';
import { killRounds } from '../support/kill-random.js';
import { KillRig } from '../support/kill-rig.js';
import { describePart } from '../support/parts.js';

const { atPoint } = killRounds();

describePart('qemu-system-x86_64', 'a life killed while it dumps and restarts', () => {
  it.each([
    'intent:after',
    'dump',
    'dump:written',
    'dump:completed',
    'outcome:before',
    'RESET:seen',
    'cont:written',
  ])(
    `is followed by one that has a whole dump and restarts just once: killed ${atPoint} times at %s`,
    async (point) => {
      const rig = await KillRig.start('[dump, restart]');
      for (let round = 0; round < atPoint; round += 1) await rig.killAt(await rig.live(), point);
      await rig.finish(['dump', 'restart']);
      console.log(`${point}: ${rig.tally()}`);
    },
    30_000 + atPoint * 5_000,
  );
});
