// The table of values in charts/vmwarden/README.md, from the comments of values.yaml. Writes it; with --check says whether
// it is as it should be.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMap, isPair, isScalar, parseDocument } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = join(root, 'charts/vmwarden/README.md');
const BEGIN = '<!-- values: made by `npm run generate:chart` -->';
const END = '<!-- end of values -->';

/** The README as it should be. */
export function chartReadme() {
  const text = readFileSync(readme, 'utf8');
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${readme} has no place for the table`);
  return `${text.slice(0, begin + BEGIN.length)}\n\n${valuesTable()}\n${text.slice(end)}`;
}

function valuesTable() {
  const document = parseDocument(readFileSync(join(root, 'charts/vmwarden/values.yaml'), 'utf8'));
  const rows = rowsOf(document.contents, '', document.commentBefore ?? '');
  return ['| value | default | meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

/**
 * One row for each value that can be set by itself.
 *
 * @param {unknown} node
 * @param {string} path
 * @param {string} [firstComment] the document's own comment belongs to its first key
 * @returns {string[]}
 */
function rowsOf(node, path, firstComment = '') {
  if (!isMap(node)) return [];
  return node.items.flatMap((pair, index) => {
    if (!isPair(pair) || !isScalar(pair.key)) return [];
    const name = path === '' ? String(pair.key.value) : `${path}.${pair.key.value}`;
    const before = index === 0 ? (node.commentBefore ?? firstComment) : '';
    const meaning = meaningOf(pair.key.commentBefore ?? before);
    const inner = isMap(pair.value) && pair.value.flow !== true ? rowsOf(pair.value, name) : [];
    if (inner.length > 0 && !isWhole(name)) return inner;
    const value = isMap(pair.value) || 'toJSON' in Object(pair.value) ? pair.value : null;
    const fallback = JSON.stringify(value === null ? null : toJson(value));
    return [`| \`${name}\` | \`${fallback}\` | ${meaning.replaceAll('|', '\\|')} |`];
  });
}

/** Values that are told of as a whole: what is in them is Kubernetes' or vmwarden's own. @param {string} name */
function isWhole(name) {
  return ['config', 'resources', 'updateStrategy', 'nodeSelector'].includes(name);
}

/** What stands after ` -- `, to the end of the comment. @param {string} comment */
function meaningOf(comment) {
  const [, meaning = ''] = /(?:^|\n) -- ([\s\S]*)$/.exec(comment) ?? [];
  return meaning.replace(/\n\s*/g, ' ').trim();
}

/** @param {any} node @returns {unknown} */
function toJson(node) {
  return node.toJSON();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const made = chartReadme();
  if (process.argv.includes('--check')) {
    if (made !== readFileSync(readme, 'utf8')) {
      console.error('charts/vmwarden/README.md is not what `npm run generate:chart` makes');
      process.exitCode = 1;
    }
  } else {
    writeFileSync(readme, made);
  }
}
