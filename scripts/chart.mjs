// What of the chart is written elsewhere: the table of values in its README, from the comments of values.yaml, and its
// alerts, from docs/operations.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMap, isPair, isScalar, parseDocument, stringify } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));
const alerts = join(root, 'charts/vmwarden/files/alerts.yaml');
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

/** The file of alerts as it should be. */
export function chartAlerts() {
  const text = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const rows = [...text.matchAll(/^\| \[(\w+)\]\(#\w+\) \| `(.+)` \| (\w+) \| (\w+) \|$/gm)];
  const list = rows.map(([, alert = '', expr = '', time = '', severity = '']) => {
    const [, runbook = ''] =
      new RegExp(`^### ${alert}\\n\\n([\\s\\S]*?)(?:\\n\\n|$)`, 'm').exec(text) ?? [];
    const summary = plain(runbook);
    if (summary === '') throw new Error(`docs/operations.md says nothing about ${alert}`);
    return { alert, expr: expr.replaceAll('\\|', '|'), for: time, severity, summary };
  });
  if (list.length === 0) throw new Error('docs/operations.md has no table of alerts');
  return `# Made by \`npm run generate:chart\` from docs/operations.md.\n${stringify(list)}`;
}

/** A paragraph's first sentence without Markdown; a colon ends one, too. @param {string} paragraph */
function plain(paragraph) {
  const text = paragraph.replace(/\n/g, ' ').replace(/\[([^\]]+)\]\([^)]*\)/g, '$1');
  return (/^.*?[.;](?= |$)/.exec(text)?.[0] ?? text).replace(/;$/, '.').replaceAll('`', '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(readme, chartReadme());
  writeFileSync(alerts, chartAlerts());
}
