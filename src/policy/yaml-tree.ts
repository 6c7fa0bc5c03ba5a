import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
  type YAMLMap,
} from 'yaml';
import { type Path, type Position, PROBLEMS, type ProblemId, printable } from './problem.js';

/** Of one of the YAML package's messages, which may quote the file. */
const MAX_MESSAGE = 200;

/** YAML as plain data, with the place of each part. */
export interface Tree {
  /** Maps have no prototype. */
  readonly value: unknown;
  /** Where the part stands; what isn't there stands at the key of what should hold it. */
  positionOf(path: Path, part: 'key' | 'value'): Position;
  /** Where the character at `offset` of the text at `path` stands, however it is quoted or folded. */
  positionIn(path: Path, offset: number): Position;
}

export interface TreeProblem extends Position {
  readonly id: ProblemId;
  readonly path: Path;
  readonly message: string;
  readonly hint: string;
}

export interface ReadTree {
  readonly tree: Tree;
  readonly problems: readonly TreeProblem[];
  /** The value is all there, so that its shape is worth a look. */
  readonly complete: boolean;
}

/** In UTF-16 units; a file's bytes are bounded where it is read. */
export const MAX_TEXT = 1_048_576;
const MAX_DEPTH = 32;
const MAX_SYNTAX_PROBLEMS = 20;

/**
 * Reads one YAML 1.2 document with the core schema. Anchors, aliases and tags are refused: they save an operator little,
 * and a step would stand on another line than the rule that a decision names. This is the one place that knows
 * the yaml package; it never throws.
 */
export const readTree = (text: string): ReadTree => {
  const lines = new LineCounter();
  const spots = new Map<string, Spot>();
  const problems: TreeProblem[] = [];
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const tree = (value: unknown): Tree => ({
    value,
    positionOf: (path, part) => at(offsetOf(spots, path, part)),
    positionIn: (path, offset) => at(offsetWithin(text, spots.get(spotKey(path)), offset)),
  });
  const add = (id: ProblemId, offset: number, path: Path, message: string, hint = ''): void => {
    problems.push({ id, ...at(offset), path, message, hint });
  };

  if (text.length > MAX_TEXT) {
    add(PROBLEMS.tooLarge, 0, [], `the file has ${text.length} characters; at most ${MAX_TEXT}`);
    return { tree: tree(null), problems, complete: false };
  }
  const document = compose(text, lines);
  if (document === null) {
    add(PROBLEMS.syntax, 0, [], 'more than one YAML document; expected one');
    return { tree: tree(null), problems, complete: false };
  }
  for (const error of [...document.errors, ...document.warnings].slice(0, MAX_SYNTAX_PROBLEMS)) {
    add(PROBLEMS.syntax, error.pos[0], [], `not valid YAML: ${oneLine(error.message)}`);
  }
  if (document.directives?.yaml.explicit === true && document.directives.yaml.version !== '1.2') {
    add(PROBLEMS.yamlFeature, 0, [], 'a %YAML directive; this file is always YAML 1.2');
  }
  if (problems.length > 0) return { tree: tree(null), problems, complete: false };

  let complete = true;
  const refuse = (offset: number, path: Path, message: string, hint = ''): null => {
    complete = false;
    add(PROBLEMS.yamlFeature, offset, path, message, hint);
    return null;
  };

  const read = (node: Node | null, path: Path): unknown => {
    if (node === null) return null;
    const offset = node.range?.[0] ?? 0;
    if (isAlias(node)) return refuse(offset, path, 'an alias', 'write the value out');
    if (node.anchor !== undefined) return refuse(offset, path, 'an anchor', 'leave out the "&..."');
    if (node.tag !== undefined) return refuse(offset, path, 'a tag', 'leave out the "!..."');
    if (path.length > MAX_DEPTH) return refuse(offset, path, `nested deeper than ${MAX_DEPTH}`);
    if (isScalar(node)) return node.value;
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const child = [...path, index];
        const start = (item as Node | null)?.range?.[0] ?? offset;
        spots.set(spotKey(child), { key: start, value: start });
        return read(item as Node | null, child);
      });
    }
    return isMap(node) ? readMap(node, offset, path) : null;
  };

  const readMap = (node: YAMLMap, offset: number, path: Path): unknown => {
    const value: Record<string, unknown> = Object.create(null);
    for (const pair of node.items) {
      const key = pair.key as Node | null;
      const keyOffset = key?.range?.[0] ?? offset;
      if (key?.anchor !== undefined || key?.tag !== undefined || isAlias(key)) {
        refuse(keyOffset, path, 'an anchor, alias or tag at a key', 'write plain keys');
        continue;
      }
      if (!isScalar(key) || typeof key.value !== 'string') {
        const found = isScalar(key) ? printable(key.value) : 'a list or map';
        add(PROBLEMS.wrongType, keyOffset, path, `${found} as a key; expected text`);
        continue;
      }
      const child = [...path, key.value];
      // Libraries leave this key out in silence.
      if (key.value === '__proto__') {
        add(PROBLEMS.unknownKey, keyOffset, child, 'the key "__proto__" can\'t be used');
        continue;
      }
      if (Object.hasOwn(value, key.value)) {
        const first = at(spots.get(spotKey(child))?.key ?? 0).line;
        const message = `the key ${printable(key.value)} stands here again; first on line ${first}`;
        add(PROBLEMS.duplicateKey, keyOffset, child, message, 'keep one of them');
        continue;
      }
      const content = pair.value as Node | null;
      spots.set(spotKey(child), {
        key: keyOffset,
        value: content?.range?.[0] ?? keyOffset,
        ...(isScalar(content) && typeof content.value === 'string' && { text: content.value }),
      });
      value[key.value] = read(content, child);
    }
    return value;
  };

  spots.set(spotKey([]), { key: 0, value: document.contents?.range?.[0] ?? 0 });
  const value = read(document.contents, []);
  return { tree: tree(value), problems, complete };
};

/** The text's one document; null when it has several. */
const compose = (text: string, lines: LineCounter): Document | null => {
  const composer = new Composer({
    prettyErrors: false,
    // Checked when read: the package's own check takes quadratic time.
    uniqueKeys: false,
    schema: 'core',
    version: '1.2',
  });
  const tokens = withFewErrors(new Parser(lines.addNewLine).parse(text));
  let only: Document | null = null;
  for (const document of composer.compose(tokens, true, text.length)) {
    if (only !== null) return null;
    only = document;
  }
  return only;
};

/** Ends the text where its errors are more than anybody reads: a megabyte of them takes half a minute. */
function* withFewErrors(tokens: Iterable<CST.Token>): Generator<CST.Token> {
  let errors = 0;
  for (const token of tokens) {
    yield token;
    if (token.type === 'error') errors += 1;
    if (errors > MAX_SYNTAX_PROBLEMS) return;
  }
}

interface Spot {
  readonly key: number;
  readonly value: number;
  /** What the text there reads as. */
  readonly text?: string;
}

const spotKey = (path: Path): string => JSON.stringify(path);

const offsetOf = (spots: ReadonlyMap<string, Spot>, path: Path, part: 'key' | 'value'): number => {
  const exact = spots.get(spotKey(path));
  if (exact !== undefined) return exact[part];
  for (let length = path.length - 1; length >= 0; length -= 1) {
    const holder = spots.get(spotKey(path.slice(0, length)));
    if (holder !== undefined) return length === 0 ? holder.value : holder.key;
  }
  return 0;
};

/**
 * Finds a character of a scalar in the file: quotes, escapes, indents and folds are what stands there and isn't in the
 * text, so each of its characters is the next equal one.
 */
const offsetWithin = (file: string, spot: Spot | undefined, offset: number): number => {
  if (spot === undefined) return 0;
  const { text = '' } = spot;
  let at = spot.value;
  // The head of a block scalar: `|-`, with a comment perhaps.
  if (file[at] === '|' || file[at] === '>') at = file.indexOf('\n', at) + 1;
  else if (file[at] === '"' || file[at] === "'") at += 1;
  for (let index = 0; index < text.length; index += 1) {
    const wanted = text[index] ?? '';
    const fits = /\s/.test(wanted) ? /\s/ : null;
    while (at < file.length && !(fits === null ? file[at] === wanted : fits.test(file[at] ?? ''))) {
      at += 1;
    }
    if (index === offset) return at;
    at += 1;
  }
  return at;
};

const oneLine = (message: string): string =>
  printable(message.split('\n', 1)[0], MAX_MESSAGE).replace(/^"|"$/g, '');
