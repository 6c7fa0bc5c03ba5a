import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Bench } from './figure.js';
import { endOf, startServe } from './serve.js';
import { median, middleHalf, summarize } from './statistics.js';

/** `serve` with one VM that isn't there, on a fresh data directory, from its spawn until it has answered SERVING. */
export const startUp: Bench = {
  name: 'start-up',
  run: async (context) => {
    const rounds = context.quick ? 7 : 41;
    const ours: number[] = [];
    const floor: number[] = [];
    const vm = { id: 'absent', qmpSocket: path.join(context.socketDir, 'nobody') };
    for (let round = -1; round < rounds; round += 1) {
      const serve = await startServe(context, `start-up-${round}`, [vm]);
      await serve.stop();
      const bare = await bareNodeMs();
      // The first of each brings the files into memory.
      if (round < 0) continue;
      ours.push(serve.servingAfterMs);
      floor.push(bare);
    }
    return [
      {
        kind: 'measured',
        name: 'serve to health SERVING',
        unit: 'ms',
        ours: summarize(ours),
        floor: { ...summarize(floor), what: 'node -e 0' },
        ratio: median(ours) / median(floor),
        limit: 5,
        remarks: [`middle half ${middleHalf(ours)} against ${middleHalf(floor)}`],
      },
    ];
  },
};

const bareNodeMs = async (): Promise<number> => {
  const startedAt = performance.now();
  await endOf(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }));
  return performance.now() - startedAt;
};
