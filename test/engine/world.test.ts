import { describe, expect, it } from 'vitest';
import { newVmRow, type VmRow } from '../../src/engine/vm-row.js';
import { World } from '../../src/engine/world.js';
import type { Commit } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';

const row = (id: string, epoch: number): VmRow => ({ ...newVmRow(id, ''), epoch });
const staged = (of: VmRow) => ({ kind: 'ingest', records: [], row: of }) as const;

/** Settles commits when the test says so. */
class Held extends MemoryJournal {
  readonly settle: ((error?: Error) => void)[] = [];

  override append(_commit: Commit): ReturnType<MemoryJournal['append']> {
    const durable = new Promise<void>((resolve, reject) => {
      this.settle.push((error) => (error === undefined ? resolve() : reject(error)));
    });
    return { first: this.next, durable };
  }
}

describe('the overlay', () => {
  it('shows what is under way to deciding, and what is durable to outsiders', async () => {
    const journal = new Held();
    const world = new World(journal, [row('a', 1)]);
    const commit = world.commit(staged(row('a', 2)));
    expect([world.get('a')?.epoch, world.durable('a')?.epoch]).toEqual([2, 1]);
    journal.settle[0]?.();
    await commit;
    expect([world.get('a')?.epoch, world.durable('a')?.epoch]).toEqual([2, 2]);
  });

  it('drops a failed commit and those behind it, and keeps those before', async () => {
    const journal = new Held();
    const world = new World(journal, [row('a', 1), row('b', 1)]);
    const before = world.commit(staged(row('a', 2)));
    const failing = world.commit(staged(row('b', 2)));
    const behind = world.commit(staged(row('a', 3)));
    journal.settle[1]?.(new Error('full'));
    await expect(failing).rejects.toThrow('full');
    expect([world.get('a')?.epoch, world.get('b')?.epoch]).toEqual([2, 1]);

    const after = world.commit(staged(row('b', 7)));
    journal.settle[2]?.(new Error('rolled back'));
    await expect(behind).rejects.toThrow('rolled back');
    expect([world.get('a')?.epoch, world.get('b')?.epoch]).toEqual([2, 7]);
    journal.settle[0]?.();
    journal.settle[3]?.();
    await Promise.all([before, after]);
    expect([world.durable('a')?.epoch, world.durable('b')?.epoch]).toEqual([2, 7]);
  });
});
