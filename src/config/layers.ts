import { readTree, type Tree } from '../policy/yaml-tree.js';
import { type ConfigProblem, type Finding, formatPath, type Path } from './problem.js';
import type { Setting } from './settings.js';

/** The file under environment under flags, as one document that knows where each part comes from. */
export interface Layers {
  readonly value: unknown;
  /** What was wrong with the text of the file. */
  readonly problems: readonly ConfigProblem[];
  /** The document can be checked; false when parts of the file could not be read. */
  readonly complete: boolean;
  problem(found: Finding): ConfigProblem;
  /** The part comes from the file, so that its relative paths start there. */
  fromFile(path: Path): boolean;
}

export interface Override {
  readonly setting: Setting;
  readonly value: string;
  /** `environment NAME` or `flag --NAME`. */
  readonly place: string;
}

/** `overrides` in order, later ones win. `text` null: there is no file. */
export const layer = (
  file: string | null,
  text: string | null,
  overrides: readonly Override[],
): Layers => {
  const { tree, problems, complete } =
    text === null ? { tree: null, problems: [], complete: true } : readTree(text);
  const value = withoutNothing(tree?.value ?? null) ?? {};
  const places = new Map<string, string>();
  for (const { setting, value: said, place } of overrides) {
    if (put(value, setting.path, said)) places.set(formatPath(setting.path), place);
  }
  const placeOf = (path: Path, part: 'key' | 'value'): string =>
    places.get(formatPath(path)) ?? filePlace(file, tree, path, part);
  return {
    value,
    complete,
    problems: problems.map(({ line, column, path, message, hint }) => ({
      place: `${file}:${line}:${column}`,
      path: formatPath(path),
      message,
      hint,
    })),
    problem: ({ path, part, message, hint }) => ({
      place: placeOf(path, part),
      path: formatPath(path),
      message,
      hint,
    }),
    fromFile: (path) => !places.has(formatPath(path)),
  };
};

const filePlace = (file: string | null, tree: Tree | null, path: Path, part: 'key' | 'value') => {
  if (file === null || tree === null) return 'defaults';
  const { line, column } = tree.positionOf(path, part);
  return `${file}:${line}:${column}`;
};

/** A key without a value counts as not written; entries of lists stay. */
const withoutNothing = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNothing);
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, content]) => content !== null)
      .map(([key, content]) => [key, withoutNothing(content)]),
  );
};

/** False where the file has something else than a map on the way: that is told by the schema. */
const put = (target: unknown, path: readonly string[], value: string): boolean => {
  const [head, ...rest] = path;
  if (!isMap(target) || head === undefined) return false;
  if (rest.length === 0) {
    target[head] = value;
    return true;
  }
  target[head] ??= {};
  return put(target[head], rest, value);
};

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
