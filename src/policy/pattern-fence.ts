/** Why a regular expression may not stand in a condition; null: it may. */
export const patternProblem = (pattern: string): string | null => {
  try {
    new RegExp(pattern);
  } catch {
    return 'is no regular expression';
  }
  if (pattern.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  return waysProblem(pattern);
};

const MAX_LENGTH = 200;
/** What one `*` or `+` counts for. */
const UNBOUNDED_WAYS = 64;
/** Ways to match that a pattern may have to try at each place of the text. */
const MAX_WAYS = 128;

const QUANTIFIER = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/;

/**
 * JavaScript's matcher backtracks, so a guest could choose a text over which a pattern takes minutes. What leaves it
 * little to try is let through: no repeated groups, no look-around, no back-references, and of `*`, `+`, `?`, `{n,m}`
 * and `|` so few that the ways to match are bounded.
 */
const waysProblem = (pattern: string): string | null => {
  let ways = 1;
  for (let at = 0; at < pattern.length; ) {
    const { end, closesGroup, problem } = atom(pattern, at);
    if (problem !== null) return problem;
    if (pattern[at] === '|') ways *= 2;
    at = end;
    const quantifier = QUANTIFIER.exec(pattern.slice(at));
    if (quantifier === null) continue;
    if (closesGroup) return 'repeats a group, so that it can backtrack without end';
    ways *= waysOf(quantifier);
    at += quantifier[0].length;
    if (ways > MAX_WAYS) {
      return 'can backtrack too much; one * or + and two ? (or {n,m}, or |) are allowed';
    }
  }
  return ways > MAX_WAYS ? 'has too many alternatives' : null;
};

const waysOf = ([text, low, range, high]: RegExpExecArray): number => {
  if (text.startsWith('?')) return 2;
  if (low === undefined || (range !== undefined && high === '')) return UNBOUNDED_WAYS;
  return range === undefined ? 1 : Math.max(1, Number(high) - Number(low) + 1);
};

interface Atom {
  readonly end: number;
  readonly closesGroup: boolean;
  readonly problem: string | null;
}

const atom = (pattern: string, at: number): Atom => {
  const one = (length: number, problem: string | null = null): Atom => ({
    end: at + length,
    closesGroup: false,
    problem,
  });
  switch (pattern[at]) {
    case '\\':
      return /^\\(?:[1-9]|k<)/.test(pattern.slice(at))
        ? one(2, 'refers back to a group, which can backtrack')
        : one(2);
    case '[': {
      let end = at + 1;
      while (end < pattern.length && pattern[end] !== ']') end += pattern[end] === '\\' ? 2 : 1;
      return one(end + 1 - at);
    }
    case '(': {
      const head = /^\((?:\?(:|=|!|<=|<!|<[^>]*>)?)?/.exec(pattern.slice(at));
      const kind = head?.[1] ?? '';
      return kind.includes('=') || kind.includes('!')
        ? one(1, 'looks around, which can backtrack')
        : one(head?.[0].length ?? 1);
    }
    case ')':
      return { end: at + 1, closesGroup: true, problem: null };
    default:
      return one(1);
  }
};
