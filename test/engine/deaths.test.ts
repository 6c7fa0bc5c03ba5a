import { expect, it } from 'vitest';
import { Deaths } from '../../src/engine/deaths.js';
import { newVmRow, type VmRow } from '../../src/engine/vm-row.js';
import type { Moment } from '../../src/lib/clock.js';
import { remember } from '../../src/policy/history.js';

const MINUTE = 60_000;

const at = (monoMs: number, wallMs: number, hostBootId = 'boot'): Moment => ({
  monoMs,
  wallMs,
  hostBootId,
});

const died = (vm: string, ...moments: readonly Moment[]): VmRow => ({
  ...newVmRow(vm, ''),
  history: moments.reduce((history, one) => remember(history, 'CRASH', one, 1), {}),
});

it('finds the deaths before a restart, though the wall clock was set back between them', () => {
  const rows = [
    died('a', at(100_000, 9_000_000)),
    died('b', at(101_000, 5_000_000)),
    died('c', at(102_000, 5_001_000)),
    // Long before the others, by a wall clock that stood far ahead.
    died('old', at(1_000, 99_000_000)),
  ];
  const now = at(103_000, 5_002_000);
  expect(new Deaths(rows, now).countOthers('d', MINUTE, now)).toBe(3);
});

it('counts by the wall clock what an earlier boot of the host had', () => {
  const rows = [
    died('a', at(900_000, 5_000_000, 'before')),
    died('b', at(990_000, 5_090_000, 'before')),
    // It died in both: the later one holds, though the wall clock says otherwise.
    died('c', at(995_000, 5_095_000, 'before'), at(2_000, 4_000_000)),
  ];
  const now = at(70_000, 5_100_000);
  const deaths = new Deaths(rows, now);
  expect(deaths.countOthers('d', MINUTE, now)).toBe(1);
  deaths.note('e', now);
  expect(deaths.countOthers('d', MINUTE, now)).toBe(2);
  expect(deaths.countOthers('b', MINUTE, now)).toBe(1);
  // From then on the monotonic clock alone tells how old they are.
  expect(deaths.countOthers('d', MINUTE, at(80_000, 0))).toBe(2);
  expect(deaths.countOthers('d', MINUTE, at(125_000, 0))).toBe(1);
});

it('keeps the latest death of each VM, however many there were', () => {
  const deaths = new Deaths([], at(0, 0));
  for (let count = 0; count < 5_000; count += 1) deaths.note(`vm-${count % 3}`, at(count, count));
  expect(deaths.countOthers('vm-0', MINUTE, at(5_000, 5_000))).toBe(2);
});
