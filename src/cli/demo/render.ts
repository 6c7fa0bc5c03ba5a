import { type Record, StepState } from '../../gen/vmwarden/v1/record.js';
import { decodedJson } from '../../record/event-json.js';
import { systemEventFromProto } from '../../record/system-event-codec.js';
import type { Chapter } from './story.js';

const HEADS = ['event', 'normalized to', 'decided', 'done', 'proven by', 'took'] as const;
const WIDTHS = [18, 22, 34, 20, 32, 15] as const;

/** The table at the end, for a person: one row an event, each cell wrapped to its column. */
export const renderTable = (chapters: readonly Chapter[]): string => {
  const rule = WIDTHS.map((width) => '-'.repeat(width)).join('  ');
  return [
    row(HEADS.map((head) => [head])),
    ...chapters.flatMap((chapter) => [rule, row(cells(chapter))]),
    rule,
  ].join('\n');
};

const cells = (chapter: Chapter): string[][] => [
  [chapter.vm, chapter.cameIn],
  normalized(chapter.records),
  decision(chapter.records),
  done(chapter.records),
  proof(chapter),
  took(chapter),
];

const normalized = (records: readonly Record[]): string[] => {
  const wire = records.flatMap(({ body }) =>
    body?.$case === 'event' ? [body.value.event] : [],
  )[0];
  const event = wire === undefined ? null : systemEventFromProto(wire);
  if (event?.ok !== true) return [];
  const { type, data, detail, anomalies } = decodedJson(event.value);
  const details = Object.entries(detail ?? {})
    .filter(([, value]) => value !== '' && !(Array.isArray(value) && value.length === 0))
    .map(([key, value]) => `${key} ${String(value)}`);
  return [
    `${String(type)} [${Array.isArray(data) ? data.join(', ') : ''}]`,
    ...details,
    ...(Array.isArray(anomalies) ? anomalies.map(String) : []),
  ];
};

const decision = (records: readonly Record[]): string[] => {
  for (const { body } of records) {
    if (body?.$case === 'decision') {
      const plan = body.value.plan.map(({ verb }) => verb).join(', ');
      return [plan === '' ? 'record only' : plan, ...body.value.reasons];
    }
  }
  return [];
};

const outcomes = (records: readonly Record[]) =>
  records.flatMap(({ body }) =>
    body?.$case === 'step' &&
    body.value.state !== StepState.STARTED &&
    body.value.state !== StepState.PROGRESS
      ? [body.value]
      : [],
  );

const done = (records: readonly Record[]): string[] =>
  outcomes(records).map(({ verb, state, reason }) => {
    const word = StepState[state]?.toLowerCase() ?? String(state);
    return `${verb}: ${word}${reason === '' ? '' : ` (${reason})`}`;
  });

const proof = ({ records, witness, complaints }: Chapter): string[] => [
  ...outcomes(records).flatMap((step) => step.proof),
  ...(witness === '' ? [] : [witness]),
  ...complaints.map((complaint) => `NOT SO: ${complaint}`),
];

const took = ({ records, span, tookMs }: Chapter): string[] => [
  ...outcomes(records)
    .filter(({ elapsedNs }) => elapsedNs > 0n)
    .map(({ verb, elapsedNs }) => `${verb} ${(Number(elapsedNs) / 1e6).toFixed(1)} ms`),
  ...(tookMs === null ? [] : [`${span} ${tookMs.toFixed(1)} ms`]),
];

const row = (columns: readonly (readonly string[])[]): string => {
  const wrapped = columns.map((lines, index) =>
    lines.flatMap((line) => wrap(line, WIDTHS[index] ?? 20)),
  );
  const height = Math.max(...wrapped.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    wrapped
      .map((lines, index) => (lines[line] ?? '').padEnd(WIDTHS[index] ?? 20))
      .join('  ')
      .trimEnd(),
  ).join('\n');
};

const wrap = (text: string, width: number): string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap((long) => pieces(long, width))) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
};

const pieces = (word: string, width: number): string[] =>
  word.length <= width
    ? [word]
    : Array.from({ length: Math.ceil(word.length / width) }, (_, i) =>
        word.slice(i * width, (i + 1) * width),
      );
