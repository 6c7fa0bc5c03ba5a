import { explain } from '../event/explain.js';
import type { WordNote } from '../event/explain-words.js';
import type { Problem } from '../event/problem.js';
import type { SystemEvent } from '../event/system-event.js';
import { detailJson, hex } from '../record/event-json.js';

/** Marks text for a terminal; plain text elsewhere. */
export interface Style {
  strong(text: string): string;
  faint(text: string): string;
  warning(text: string): string;
}

/** An event explained to a person: words, bits, meaning, anomalies and the kernel source it follows from. */
export const eventView = (event: SystemEvent, style: Style): string => {
  const told = explain(event);
  const where = event.arch === '' ? '' : ` on ${event.arch}`;
  const head = `${style.strong(event.type)}${where}: ${told.meaning}`;
  const type = event.rawType === null ? 'none' : hex(event.rawType);
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['record', [`type      ${type}`, `words     ${told.words}`]],
    ['words', told.wordNotes.flatMap((note) => wordLines(note))],
    ['detail', Object.entries(detailJson(event.detail)).map(detailLine)],
    ['notes', told.notes],
    [
      'anomalies',
      told.anomalies.flatMap(({ name, says, implies }) => [
        `${style.warning(name)}: ${says}.`,
        `  ${implies}`,
      ]),
    ],
    [
      'source',
      told.source === null
        ? []
        : [`${told.source.file}, ${told.source.function}, since Linux ${told.source.since}`],
    ],
  ];
  const shown = sections.filter(([, lines]) => lines.length > 0);
  return `${[
    head,
    ...shown.map(([title, lines]) =>
      [style.faint(title), ...lines.map((line) => `  ${line}`)].join('\n'),
    ),
  ].join('\n')}\n`;
};

const wordLines = ({ name, value, meaning, bits }: WordNote): readonly string[] => [
  `${name.padEnd(8)}  ${hex(value).padEnd(18)}  ${meaning}`,
  ...bits.map((note) => `  ${note.bits.padEnd(6)}  ${hex(note.value).padEnd(18)}  ${note.meaning}`),
];

const detailLine = ([key, value]: [string, unknown]): string =>
  `${key.padEnd(14)}  ${typeof value === 'string' ? value : JSON.stringify(value)}`;

/** What the fields of a raw event are called on the command line. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  'bytes.record': 'HEX',
  'bytes.byteOrder': '--endian',
  arch: '--arch',
};

/** Why a record can't be understood, and what to do. */
export const problemView = ({ code, field, value, expected, advice }: Problem): string =>
  `${code}: ${ARGUMENTS[field] ?? field} is ${value}; expected ${expected}.\n${advice}\n`;
