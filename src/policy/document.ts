import * as z from 'zod';
import { ANOMALIES } from '../event/anomaly.js';
import { EVENT_TYPES } from '../event/event-type.js';
import { INITIATORS, ORIGINS } from '../event/report.js';
import { PROBLEMS } from './problem.js';
import { duration, map, timestamp } from './scalars.js';

/**
 * The shape of the whole policy file. Defaults are filled in and durations become milliseconds here; what the parts mean
 * together is checked in `meaning.ts`.
 */
const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;

/** Characters of one condition. */
export const MAX_CONDITION = 2_048;
export const MAX_RULES = 1_000;
/** Attempts that one limit may allow, and so the most that a VM's row keeps of one budget. */
export const MAX_ATTEMPTS = 1_000;
/** The widest window of a limit. */
export const MAX_WINDOW_MS = MONTH;

const words = <const Words extends readonly [string, ...string[]]>(list: Words) =>
  z.array(z.enum(list)).min(1).max(list.length);

const name = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/, '1 to 63 letters, digits, "-" or "."');

const VERBS_WITH_OPTIONS = ['dump', 'powerOff', 'pause', 'resume', 'nmi'] as const;
export const STEP_WORDS = ['restart', ...VERBS_WITH_OPTIONS, 'hold', 'notify'] as const;

const stepOptions = {
  timeout: duration({ minMs: 100, maxMs: DAY }).optional(),
  retries: z.number().int().min(0).max(10).default(0),
  onFailure: z.enum(['continue', 'stop']).optional(),
};
const options = map(stepOptions).optional();
const act = {
  restart: map({ ...stepOptions, in: z.enum(['place', 'process']).default('place') }).optional(),
  dump: options,
  powerOff: options,
  pause: options,
  resume: options,
  nmi: options,
};

/** A bare word, or a map with the word as its only key. The map comes last: `shape.ts` relies on it. */
const step = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.union([
    z.enum(STEP_WORDS),
    map(shape).superRefine((value, context) => {
      const keys = Object.keys(value);
      if (keys.length === 1) return;
      context.addIssue({
        code: 'custom',
        message: `${keys.length === 0 ? 'no verb' : keys.join(' and ')} in one step; expected exactly one`,
        params: { id: PROBLEMS.stepShape, hint: 'begin each step with its own "-"' },
      });
    }),
  ]);

const steps = z
  .array(
    step({
      ...act,
      await: map({
        event: z.enum(EVENT_TYPES),
        timeout: duration({ minMs: SECOND, maxMs: DAY }),
        otherwise: z.array(step(act)).min(1).max(16),
      }).optional(),
    }),
  )
  .min(1)
  .max(16);

export const safetySchema = map({
  maxEventAge: duration({ minMs: SECOND, maxMs: MONTH }).default(300 * SECOND),
  maxWait: duration({ minMs: SECOND, maxMs: 7 * DAY }).default(HOUR),
  storm: map({
    vms: z.number().int().min(2).max(100_000),
    percent: z.number().gt(0).max(100).optional(),
    within: duration({ minMs: SECOND, maxMs: DAY }).default(60 * SECOND),
    quiet: duration({ minMs: SECOND, maxMs: DAY }).default(300 * SECOND),
  }).optional(),
  concurrent: map({
    restarts: z.number().int().min(1).max(10_000).optional(),
    dumps: z.number().int().min(1).max(10_000).optional(),
  }).prefault({}),
});

const delaySchema = map({
  base: duration({ minMs: 0, maxMs: DAY }).default(10 * SECOND),
  factor: z.number().min(1).max(10).default(2),
  max: duration({ minMs: 0, maxMs: DAY }).default(300 * SECOND),
  jitter: z.number().min(0).max(1).default(0.5),
});

export const budgetSchema = map({
  limits: z
    .array(
      map({
        attempts: z.number().int().min(1).max(MAX_ATTEMPTS),
        within: duration({ minMs: SECOND, maxMs: MAX_WINDOW_MS }),
      }),
    )
    .min(1)
    .max(8),
  stableAfter: duration({ minMs: SECOND, maxMs: MONTH }).default(600 * SECOND),
  delay: delaySchema.prefault({}),
});

const label = z.string().max(253);
const vmsSchema = map({
  ids: z.array(z.string().min(1).max(253)).min(1).max(1_000).optional(),
  matchLabels: z.record(label, label).optional(),
  matchExpressions: z
    .array(
      map({
        key: label,
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z.array(label).max(1_000).optional(),
      }),
    )
    .max(100)
    .optional(),
});

export const ruleSchema = map({
  name: z
    .string()
    .regex(/^[^\p{C}\p{Z}](?:[^\p{C}]{0,98}[^\p{C}\p{Z}])?$/u, '1 to 100 printable characters'),
  on: words(EVENT_TYPES),
  initiator: words(INITIATORS).default(['guest', 'unknown']),
  origin: words(ORIGINS).optional(),
  anomaly: words(ANOMALIES).optional(),
  vms: vmsSchema.optional(),
  when: z.string().min(1).max(MAX_CONDITION).optional(),
  do: steps,
  budget: z.string().optional(),
  exhausted: steps.optional(),
});

const maintenanceSchema = map({
  vms: vmsSchema.optional(),
  until: timestamp.optional(),
  reason: z.string().min(1).max(200),
});

export const policySchema = map({
  apiVersion: z.literal('vmwarden.dev/v1'),
  kind: z.literal('EventPolicy'),
  metadata: map({ name }),
  spec: map({
    mode: z.enum(['observe', 'enforce']),
    maintenance: z.array(maintenanceSchema).max(100).default([]),
    safety: safetySchema.prefault({}),
    budgets: z.record(name, budgetSchema).default({}),
    rules: z.array(ruleSchema).max(MAX_RULES).default([]),
    otherwise: steps.default(['notify']),
  }),
});

export type PolicyDocument = z.output<typeof policySchema>;
export type BudgetDocument = z.output<typeof budgetSchema>;
export type RuleDocument = z.output<typeof ruleSchema>;
export type StepDocument = RuleDocument['do'][number];
export type VmsDocument = z.output<typeof vmsSchema>;
export { vmsSchema };
