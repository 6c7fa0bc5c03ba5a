import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Heap } from '../../src/lib/heap.js';

it('gives items in order, whatever order they came in', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer(), { nil: null })), (moves) => {
      const heap = new Heap<{ readonly at: number }>();
      const model: number[] = [];
      for (const at of moves) {
        if (at === null) {
          model.sort((a, b) => a - b);
          expect(heap.least?.at).toBe(model[0]);
          expect(heap.pop()?.at).toBe(model.shift());
        } else {
          heap.push({ at });
          model.push(at);
        }
      }
    }),
  );
});
