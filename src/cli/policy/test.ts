import { readFile } from 'node:fs/promises';
import { type CaseAnswer, runCase } from '../../engine/replay/run-case.js';
import { formatDuration } from '../../lib/duration.js';
import { type CaseEvent, type ParsedCases, parseCases } from '../../policy/cases.js';
import { formatProblem } from '../../policy/problem.js';
import { FAILED, GOOD, type Io, printJson, printLine, WRONG_USE } from '../io.js';
import { plainText } from '../plain-text.js';
import { type Style, styleOf } from '../style.js';
import { type Unmet, unmet } from './expectation.js';
import { readPolicy } from './read-policy.js';

/** Runs an operator's cases against a policy: 0 when all hold, 1 when one fails or a file is broken, 2 without cases. */
export const policyTest = async (
  io: Io,
  file: string,
  casesFile: string,
  options: { readonly json?: boolean },
): Promise<number> => {
  const json = options.json === true;
  const read = await readPolicy(io, file, json);
  const text = await readFile(casesFile, 'utf8').catch(() => null);
  if (text === null) {
    const message = "there is no such file, or it can't be read";
    if (json) await printJson(io.stdout, { kind: 'problem', file: casesFile, message });
    else await printLine(io.stderr, `${casesFile}: ${message}`);
    return WRONG_USE;
  }
  const parsed = parseCases(text, casesFile);
  if (!parsed.ok) {
    for (const problem of parsed.problems) {
      if (json) await printJson(io.stdout, { kind: 'problem', ...problem });
      else await printLine(io.stderr, formatProblem(problem));
    }
  }
  if (read === null || !parsed.ok) return FAILED;

  const style = styleOf(io.stdout, io.env);
  let failed = 0;
  for (const [index, one] of parsed.cases.entries()) {
    const failures = runCase(read.policy, one).flatMap((answer, at) =>
      failureOf(parsed, casesFile, [index, at], one.events[at], answer),
    );
    if (failures.length > 0) failed += 1;
    const place = parsed.positionOf(['cases', index, 'name']);
    if (json) {
      const ok = failures.length === 0;
      await printJson(io.stdout, {
        kind: 'case',
        name: one.name,
        ok,
        file: casesFile,
        ...place,
        failures,
      });
      continue;
    }
    const name = plainText(one.name);
    if (failures.length === 0) await printLine(io.stdout, `${style('green', 'ok  ')}  ${name}`);
    else await printLine(io.stdout, `${style('red', 'FAIL')}  ${style('bold', name)}`);
    for (const failure of failures) {
      for (const line of failureLines(failure, style)) await printLine(io.stdout, line);
    }
  }
  const passed = parsed.cases.length - failed;
  if (json) await printJson(io.stdout, { kind: 'result', ok: failed === 0, passed, failed });
  else await printLine(io.stdout, `${passed} passed, ${failed} failed`);
  return failed === 0 ? GOOD : FAILED;
};

const NOT_DECIDED =
  'It was not decided on its own: an incident was open, or it was of an older boot.';

interface Failure {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly event: string;
  readonly unmet: readonly Unmet[];
  /** Why it was decided so. */
  readonly reasons: readonly string[];
}

const failureOf = (
  parsed: Extract<ParsedCases, { ok: true }>,
  file: string,
  [index, at]: readonly [number, number],
  event: CaseEvent | undefined,
  answer: CaseAnswer,
): readonly Failure[] => {
  const found = event === undefined ? [] : unmet(event, answer);
  if (event === undefined || found.length === 0) return [];
  const what = event.type === undefined ? 'release' : `${event.type} by ${event.initiator}`;
  return [
    {
      file,
      ...parsed.positionOf(['cases', index, 'events', at, 'expect']),
      event: `${what} at ${formatDuration(event.at)}`,
      unmet: found,
      reasons: event.type === undefined ? [] : (answer.decision?.reasons ?? [NOT_DECIDED]),
    },
  ];
};

const failureLines = (failure: Failure, style: Style): readonly string[] => [
  `      ${style('bold', `${failure.file}:${failure.line}:${failure.column}:`)} ${failure.event}`,
  ...failure.unmet.flatMap(({ field, expected, got }) => [
    `        ${field}`,
    style('green', `          expected  ${plainText(expected)}`),
    style('red', `          got       ${plainText(got)}`),
  ]),
  ...failure.reasons.map((reason) => style('dim', `        ${plainText(reason)}`)),
];
