import type { ASTNode } from '@marcbachmann/cel-js';
import { ANOMALIES } from '../event/anomaly.js';
import { EVENT_TYPES } from '../event/event-type.js';
import { INITIATORS, ORIGINS } from '../event/report.js';
import { patternProblem } from './pattern-fence.js';

export interface ConditionProblem {
  /** In UTF-16 units from the start of the expression. */
  readonly offset: number;
  readonly message: string;
  readonly hint: string;
}

/**
 * What a condition may be made of. The CEL library has no bound on what an evaluation costs, so its size, its loops and its
 * regular expressions are bounded here, before it ever runs; and words that no event ever has are told.
 */
export const fence = (root: ASTNode): readonly ConditionProblem[] => {
  const problems: ConditionProblem[] = [];
  const visit = (node: ASTNode, inLoop: boolean): void => {
    const report: Tell = (message, hint = '', at = node) => {
      problems.push({ offset: at.start, message, hint });
    };
    look(node, inLoop, report);
    const loops = inLoop || isLoop(node);
    for (const child of childrenOf(node)) visit(child, loops);
  };
  visit(root, false);
  return problems;
};

/** Of the expression's text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The durations of an expression that the fence let through, all of them written out, in order. */
export const durationsIn = (node: ASTNode): readonly Span[] =>
  node.op === 'call' && node.args[0] === 'duration'
    ? [{ start: node.start, end: node.end }]
    : childrenOf(node)
        .flatMap(durationsIn)
        .toSorted((a, b) => a.start - b.start);

type Tell = (message: string, hint?: string, at?: ASTNode) => void;

const LOOPS = ['all', 'exists', 'exists_one', 'map', 'filter'];
const CALLS = ['size', 'duration', 'string', 'int', 'uint', 'double', 'bool', 'has'];
const METHODS = [
  ...LOOPS,
  ...['label', 'hasLabel', 'count', 'size', 'startsWith', 'endsWith', 'contains', 'matches'],
  ...['lowerAscii', 'upperAscii', 'trim', 'indexOf', 'lastIndexOf', 'substring'],
];
/** Lists that are short whoever made the event. */
const SHORT_LISTS = ['anomalies', 'data'];
const DURATION = /^(?:\d+(?:\.\d+)?(?:h|m|s|ms|us|ns))+$/;

const look = (node: ASTNode, inLoop: boolean, tell: Tell): void => {
  switch (node.op) {
    case 'call': {
      const [name, args] = node.args;
      if (!CALLS.includes(name)) {
        tell(`the function ${name}() can't be used here`, `there are ${CALLS.join(', ')}`);
      }
      if (name === 'duration') lookAtDuration(args[0], tell);
      return;
    }
    case 'rcall': {
      const [name, receiver, args] = node.args;
      if (!METHODS.includes(name)) {
        tell(`the function .${name}() can't be used here`, `there are ${METHODS.join(', ')}`);
      }
      if (LOOPS.includes(name)) lookAtLoop(name, receiver, inLoop, tell);
      if (name === 'matches') lookAtPattern(args[0], tell);
      if (name === 'count') {
        const type = literal(args[0]);
        if (type !== null) lookAtWord(type, EVENT_TYPES, tell, args[0]);
      }
      return;
    }
    case 'id':
      // What durations are named after they were checked is no word of the language.
      if (/^duration\d/.test(node.args)) tell(`Unknown variable: ${node.args}`);
      return;
    case '.': {
      const [of, field] = node.args;
      if (of.op === 'id' && of.args === 'vm' && field === 'labels') {
        tell('vm.labels fails for a VM without the label', 'use vm.label("name"), "" when absent');
      }
      return;
    }
    case '==':
    case '!=':
    case 'in':
      lookAtComparison(node.args, tell);
      return;
    default:
  }
};

const lookAtDuration = (argument: ASTNode | undefined, tell: Tell): void => {
  const text = literal(argument);
  if (text !== null && DURATION.test(text)) return;
  tell(
    'expected a duration written out, such as "90s", "10m" or "24h"',
    'there are no days',
    argument,
  );
};

const lookAtLoop = (name: string, receiver: ASTNode, inLoop: boolean, tell: Tell): void => {
  if (inLoop) tell(`.${name}() inside another one`, 'conditions go over one list at a time');
  const short =
    receiver.op === 'list' ||
    (receiver.op === '.' &&
      receiver.args[0].op === 'id' &&
      receiver.args[0].args === 'event' &&
      SHORT_LISTS.includes(receiver.args[1]));
  if (!short) {
    tell(
      `.${name}() goes over a list of unknown length`,
      'use event.anomalies, event.data, or a list written out',
    );
  }
};

const lookAtPattern = (argument: ASTNode | undefined, tell: Tell): void => {
  const pattern = literal(argument);
  const problem =
    pattern === null ? 'has to be written out, so that it can be checked' : patternProblem(pattern);
  if (problem === null) return;
  tell(
    `the regular expression ${problem}`,
    'contains(), startsWith() and endsWith() are safe',
    argument,
  );
};

const WORDS: Readonly<Record<string, readonly string[]>> = {
  type: EVENT_TYPES,
  initiator: INITIATORS.map((name) => name.toUpperCase()),
  origin: ORIGINS.map((name) => name.toUpperCase().replaceAll('-', '_')),
  anomalies: ANOMALIES,
};

/** `event.type == "CRAHS"` has the right type, and would never hold. */
const lookAtComparison = (sides: readonly [ASTNode, ASTNode], tell: Tell): void => {
  const words = sides.map(wordsOf).find((known) => known !== null);
  if (words === undefined || words === null) return;
  for (const side of sides) {
    for (const node of side.op === 'list' ? side.args : [side]) {
      const word = literal(node);
      if (word !== null) lookAtWord(word, words, tell, node);
    }
  }
};

const lookAtWord = (word: string, known: readonly string[], tell: Tell, at?: ASTNode): void => {
  if (known.includes(word)) return;
  tell(`"${word.slice(0, 40)}" is not known; expected one of ${known.join(', ')}`, '', at);
};

const wordsOf = (node: ASTNode): readonly string[] | null =>
  node.op === '.' && node.args[0].op === 'id' && node.args[0].args === 'event'
    ? (WORDS[node.args[1]] ?? null)
    : null;

const literal = (node: ASTNode | undefined): string | null =>
  node?.op === 'value' && typeof node.args === 'string' ? node.args : null;

const isLoop = (node: ASTNode): boolean => node.op === 'rcall' && LOOPS.includes(node.args[0]);

const childrenOf = (node: ASTNode): readonly ASTNode[] => {
  const found: ASTNode[] = [];
  const collect = (part: unknown): void => {
    if (Array.isArray(part)) part.forEach(collect);
    else if (typeof part === 'object' && part !== null && 'op' in part) found.push(part as ASTNode);
  };
  collect(node.args);
  return found;
};
