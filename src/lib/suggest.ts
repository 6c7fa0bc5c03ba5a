/** The candidate that `word` most likely was meant to be; null when none is near. Case doesn't count. */
export const suggest = (word: string, candidates: readonly string[]): string | null => {
  if (word.length > 64) return null;
  const wanted = word.toLowerCase();
  const nearest = candidates
    .map((candidate) => ({ candidate, distance: distance(wanted, candidate.toLowerCase()) }))
    .reduce<{ candidate: string; distance: number } | null>(
      (best, next) => (best === null || next.distance < best.distance ? next : best),
      null,
    );
  if (nearest === null) return null;
  const allowed = Math.max(1, Math.floor(Math.max(word.length, nearest.candidate.length) / 3));
  return nearest.distance <= allowed ? nearest.candidate : null;
};

/** Single-letter edits that turn one word into the other; two letters swapped count as one. */
const distance = (a: string, b: string): number => {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        (current[column - 1] ?? 0) + 1,
        (previous[column] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, (before[column - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    before = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
};
