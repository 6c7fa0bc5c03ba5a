/**
 * A path in which parts stand for what differs: `/run/vms/{tier}/{id}/qmp-*.sock`. `{name}` is one or more characters of
 * one segment, `*` the same without a name; neither matches a leading dot, as in a shell.
 */
export interface PathTemplate {
  /** The directories before the first part; empty: none, `/` at least for an absolute path. */
  readonly base: string;
  /** What follows, at least one; a segment has at most two parts, with something between them. */
  readonly segments: readonly string[];
}

/** What the named parts stand for. */
export type Parts = Readonly<Record<string, string>>;

export type ParsedPathTemplate =
  | { readonly ok: true; readonly template: PathTemplate }
  /** To end a sentence that begins with what stood there. */
  | { readonly ok: false; readonly expected: string };

const PART = /\{([^{}]*)\}|\*/g;
const NAME = /^[a-zA-Z][a-zA-Z0-9_]{0,31}$/;
/** A path has at most 107 bytes where it is a socket's, so a template with more is a mistake. */
const MAX_LENGTH = 512;
const PARTS_PER_SEGMENT = 2;

export const parsePathTemplate = (text: string): ParsedPathTemplate => {
  const wrong = (expected: string): ParsedPathTemplate => ({ ok: false, expected });
  if (text.length > MAX_LENGTH || text.includes('\0')) return wrong('a path with {name} parts');
  const segments = text.split('/').filter((segment, index) => segment !== '' || index === 0);
  const first = segments.findIndex((segment) => hasPart(segment));
  if (first === -1) return wrong('a path with at least one part like {id}');
  const rest = segments.slice(first);
  const seen = new Set<string>();
  for (const segment of rest) {
    const problem = segmentProblem(segment, seen);
    if (problem !== null) return wrong(problem);
  }
  if (segments.slice(0, first).some((segment) => /[{}?[\]]/.test(segment))) {
    return wrong('only {name} and * to stand for something, no other glob');
  }
  if (text.endsWith('/')) return wrong('a path that ends with the name of a socket');
  const base = segments.slice(0, first).join('/');
  return {
    ok: true,
    template: { base: base === '' && text.startsWith('/') ? '/' : base, segments: rest },
  };
};

const hasPart = (segment: string): boolean => segment.search(PART) !== -1;

const segmentProblem = (segment: string, seen: Set<string>): string | null => {
  if (segment === '.' || segment === '..') return 'no . or .. behind a part';
  const parts = [...segment.matchAll(PART)];
  if (/[{}?[\]]/.test(segment.replace(PART, ''))) {
    return 'only {name} and * to stand for something, no other glob';
  }
  if (parts.length > PARTS_PER_SEGMENT) return `at most ${PARTS_PER_SEGMENT} parts in one segment`;
  const [one, two] = parts;
  if (one !== undefined && two !== undefined && one.index + one[0].length === two.index) {
    return `something between ${one[0]} and ${two[0]}: nobody could tell where one ends`;
  }
  for (const [written, name] of parts) {
    if (name === undefined) continue;
    if (!NAME.test(name)) {
      return `parts named by a letter and at most 31 more of a-z A-Z 0-9 _, not ${written}`;
    }
    if (seen.has(name)) return `each part once, not ${written} again`;
    seen.add(name);
  }
  return null;
};

/** The names of its parts. */
export const partNames = ({ segments }: PathTemplate): readonly string[] =>
  segments.flatMap((segment) => namesIn(segment));

/** The names that a text uses, as `{name}`. */
export const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(PART)].flatMap(([, name]) => name ?? []);

/** Braces that are no part of a text. */
export const hasStrayBrace = (text: string): boolean => /[{}]/.test(text.replace(PART, ''));

/** The text with the parts in the place of their names; those it does not know become empty. */
export const fillParts = (text: string, parts: Parts): string =>
  text.replace(/\{([^{}]*)\}/g, (_all, name: string) => parts[name] ?? '');

export type SegmentMatch = (name: string) => Parts | null;

/** Of two parts in a segment the first takes as little as it can. */
export const segmentMatcher = (segment: string): SegmentMatch => {
  if (!hasPart(segment)) return (name) => (name === segment ? {} : null);
  const names: (string | null)[] = [];
  let pattern = '';
  let end = 0;
  for (const part of segment.matchAll(PART)) {
    pattern += `${literal(segment.slice(end, part.index))}(.+?)`;
    names.push(part[1] ?? null);
    end = part.index + part[0].length;
  }
  const regex = new RegExp(`^${pattern}${literal(segment.slice(end))}$`, 's');
  const dotted = segment.startsWith('.');
  return (name) => {
    if (name.startsWith('.') && !dotted) return null;
    const match = regex.exec(name);
    if (match === null) return null;
    return Object.fromEntries(
      names.flatMap((of, index) => (of === null ? [] : [[of, match[index + 1] ?? '']])),
    );
  };
};

/** Whether a segment needs its directory to be read. */
export const isFixed = (segment: string): boolean => !hasPart(segment);

/** The parts of a whole path; null: the template does not match it. */
export const matchPath = ({ base, segments }: PathTemplate, path: string): Parts | null => {
  const prefix = base.endsWith('/') ? base : `${base}/`;
  if (!path.startsWith(prefix)) return null;
  const names = path.slice(prefix.length).split('/');
  if (names.length !== segments.length) return null;
  let parts: Parts = {};
  for (const [index, segment] of segments.entries()) {
    const found = segmentMatcher(segment)(names[index] ?? '');
    if (found === null) return null;
    parts = { ...parts, ...found };
  }
  return parts;
};

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
