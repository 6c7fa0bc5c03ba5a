import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LookAhead } from '../../../src/vmm/qemu/look-ahead.js';

const MAX_AGE_MS = 2;

// The clock is the test's own: nothing here depends on how fast the machine is.
describe('looking ahead', () => {
  let asked = 0;
  let answer: () => Promise<boolean>;
  let goesOn = true;
  const start = (maxAgeMs = MAX_AGE_MS): LookAhead =>
    new LookAhead(maxAgeMs, {
      goesOn: () => goesOn,
      ask: () => {
        asked += 1;
        return answer();
      },
    });
  const yesAfter = (ms: number): Promise<boolean> =>
    new Promise((resolve) => {
      setTimeout(() => resolve(true), ms);
    });

  beforeEach(() => {
    vi.useFakeTimers();
    asked = 0;
    goesOn = true;
    answer = () => Promise.resolve(true);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('has a fresh answer at every moment, as long as it asks', async () => {
    const ahead = start();
    for (let ms = 0; ms < 19; ms += 1) {
      await vi.advanceTimersByTimeAsync(1);
      expect(await ahead.isAnswered(MAX_AGE_MS)).toBe(true);
    }
    expect(asked).toBe(20);
  });

  it('asks twenty times at most, and what it was told then grows old', async () => {
    const ahead = start();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked).toBe(20);
    expect(await ahead.isAnswered(MAX_AGE_MS)).toBe(false);
  });

  it('waits for an answer under way, which may come too late', async () => {
    answer = () => yesAfter(1);
    const soon = start().isAnswered(MAX_AGE_MS);
    await vi.advanceTimersByTimeAsync(1);
    expect(await soon).toBe(true);
    answer = () => yesAfter(5);
    const late = start().isAnswered(MAX_AGE_MS);
    await vi.advanceTimersByTimeAsync(5);
    expect(await late).toBe(false);
  });

  it('ends when it is used, when the guest is no longer as it was, or when it is asked in vain', async () => {
    const used = start();
    used.end();
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toBe(1);
    start();
    goesOn = false;
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toBe(2);
    answer = () => Promise.resolve(false);
    const vain = start();
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toBe(3);
    expect(await vain.isAnswered(MAX_AGE_MS)).toBe(false);
  });

  it('asks nothing where no answer would be fresh', async () => {
    const ahead = start(0);
    expect(await ahead.isAnswered(0)).toBe(false);
    expect(asked).toBe(0);
  });
});
