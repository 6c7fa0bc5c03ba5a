import * as z from 'zod';
import { ANOMALIES } from '../event/anomaly.js';
import { EVENT_TYPES } from '../event/event-type.js';
import { INITIATORS, ORIGINS } from '../event/report.js';
import { formatPath, type Path, type PolicyProblem, type Position, PROBLEMS } from './problem.js';
import { duration, map, timestamp } from './scalars.js';
import { reportShape } from './shape.js';
import { readTree } from './yaml-tree.js';

/**
 * An operator's own tests of a policy: what happens to a VM, and what the policy is expected to answer. Only what `expect`
 * names is looked at.
 */
const YEAR_MS = 366 * 24 * 3_600_000;
const id = z.string().min(1).max(253);
const VERBS = ['restart', 'dump', 'powerOff', 'pause', 'resume', 'nmi', 'await', 'hold'] as const;

const expectation = map({
  /** false: it joined an incident, or was of an older boot. */
  decided: z.boolean().optional(),
  /** null: `otherwise`. */
  rule: z.string().nullable().optional(),
  /** What is to be done, in order; empty: only told. */
  plan: z.array(z.enum(VERBS)).optional(),
  act: z.boolean().optional(),
  budget: map({
    name: z.string().optional(),
    before: z.number().int().optional(),
    after: z.number().int().optional(),
    exhausted: z.boolean().optional(),
  }).optional(),
  /** Until the first step; the shortest and the longest where it is a range. */
  nextAttempt: z
    .union([
      duration({ minMs: 0, maxMs: YEAR_MS }),
      map({
        from: duration({ minMs: 0, maxMs: YEAR_MS }),
        to: duration({ minMs: 0, maxMs: YEAR_MS }),
      }),
    ])
    .optional(),
  /** Of the VM, once all that can happen at once has. */
  held: z.boolean().optional(),
  phase: z.enum(['well', 'waiting', 'acting', 'held']).optional(),
});

const event = map({
  /** Since the case began. */
  at: duration({ minMs: 0, maxMs: YEAR_MS }).prefault('0s'),
  /** Another VM of the host than the case's own. */
  vm: id.optional(),
  type: z.enum(EVENT_TYPES).optional(),
  initiator: z.enum(INITIATORS).default('guest'),
  origin: z.enum(ORIGINS).default('qmp'),
  anomalies: z.array(z.enum(ANOMALIES)).default([]),
  /** How old it was when it came. */
  age: duration({ minMs: 0, maxMs: YEAR_MS }).prefault('0s'),
  /** Instead of an event: an operator ends the VM's hold. */
  release: z.literal(true).optional(),
  expect: expectation.prefault({}),
}).superRefine((value, context) => {
  if ((value.type === undefined) !== (value.release === undefined)) return;
  context.addIssue({
    code: 'custom',
    message: 'expected either type or release',
    params: { id: PROBLEMS.missing },
  });
});

const casesSchema = map({
  apiVersion: z.literal('vmwarden.dev/v1'),
  kind: z.literal('PolicyTest'),
  cases: z
    .array(
      map({
        name: z.string().min(1).max(200),
        vm: map({
          id: id.default('vm-1'),
          uid: z.string().max(253).default(''),
          labels: z.record(z.string(), z.string()).default({}),
        }).prefault({}),
        host: map({
          name: z.string().max(253).default('host-1'),
          vms: z.number().int().min(1).default(1),
        }).prefault({}),
        startsAt: timestamp.prefault('2026-01-01T00:00:00Z'),
        /** How steps end; else each is applied at once. */
        outcomes: z
          .partialRecord(
            z.enum(VERBS),
            z.enum(['applied', 'already', 'failed', 'unsupported', 'unverified', 'cancelled']),
          )
          .default({}),
        events: z.array(event).min(1).max(1_000),
      }),
    )
    .min(1)
    .max(1_000),
});

export type PolicyCase = z.output<typeof casesSchema>['cases'][number];
export type CaseEvent = PolicyCase['events'][number];

export type ParsedCases =
  | {
      readonly ok: true;
      readonly cases: readonly PolicyCase[];
      readonly positionOf: (path: Path) => Position;
    }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

/** Reads a file of cases and tells everything that is wrong with it at once. Never throws. */
export const parseCases = (text: string, file: string): ParsedCases => {
  const { tree, problems: unreadable, complete } = readTree(text);
  const problems: PolicyProblem[] = unreadable.map((problem) => ({
    ...problem,
    file,
    path: formatPath(problem.path),
  }));
  const parsed = complete ? casesSchema.safeParse(tree.value ?? {}) : null;
  if (parsed?.success === false) {
    reportShape(
      parsed.error.issues,
      tree.value,
      (problem, path, message, hint = '', part = 'value') => {
        const place = tree.positionOf(path, part);
        problems.push({ id: problem, file, ...place, path: formatPath(path), message, hint });
      },
    );
  }
  if (parsed?.success === true && problems.length === 0) {
    return {
      ok: true,
      cases: parsed.data.cases,
      positionOf: (path) => tree.positionOf(path, 'value'),
    };
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { ok: false, problems };
};
