import { readFileSync } from 'node:fs';
import { hrtime } from 'node:process';
import type { Clock } from './clock.js';

/** The host's own clocks. Where the kernel tells no boot id, each process counts as a boot of its own. */
export const systemClock = (): Clock => {
  const hostBootId = readBootId();
  return {
    now: () => ({
      wallMs: Date.now(),
      monoMs: Number(hrtime.bigint() / 1_000n) / 1_000,
      hostBootId,
    }),
  };
};

const readBootId = (): string => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return `process-${hrtime.bigint()}`;
  }
};
