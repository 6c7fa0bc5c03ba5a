import * as z from 'zod';
import { policySchema, STEP_WORDS } from './document.js';

/** What an editor shows beside a key: by its path, list and map entries as `*`. */
const WORDS: Readonly<Record<string, string>> = {
  'metadata.name': 'What decisions call this policy.',
  'spec.mode': 'observe: decide and record, act on nothing. enforce: act.',
  'spec.safety.maxEventAge':
    'An event older than this when it is journaled is recorded, not acted on. Default 5m.',
  'spec.safety.maxWait': 'A step that waits longer is cancelled. Default 1h.',
  'spec.safety.storm': 'Many distinct VMs that die at once: suspect the host, hold restarts.',
  'spec.budgets': 'How often a VM may be restarted; rules name one of these.',
  'spec.budgets.*.limits': 'All of them must hold: so many attempts within so long.',
  'spec.budgets.*.stableAfter':
    'Without an attempt for this long the delay starts over; the limits still count. Default 10m.',
  'spec.budgets.*.delay':
    'Wait before the n-th attempt of a streak: base x factor^(n-2), at most max, give or take jitter. The first is at once.',
  'spec.rules': 'The first rule that matches answers.',
  'spec.rules.*.name': 'Stands in each decision; each name once.',
  'spec.rules.*.on': 'Event types.',
  'spec.rules.*.initiator': 'Who caused it. Default guest, unknown.',
  'spec.rules.*.origin': 'Who saw it. Default any.',
  'spec.rules.*.anomaly': 'The event carries at least one of these. Default any.',
  'spec.rules.*.vms': 'Of which VMs. Default all.',
  'spec.rules.*.when': 'A condition in CEL.',
  'spec.rules.*.do': 'The plan: steps in order.',
  'spec.rules.*.budget': 'Name of the budget that the plan is charged to. Default none.',
  'spec.rules.*.exhausted': 'The plan when the budget is used up; may not restart. Default notify.',
  'spec.otherwise': 'The plan for what no rule matches. Default notify.',
};

type Json = { [key: string]: unknown };

/** The shape of a policy file as JSON Schema (draft 7, which editors read): what `policySchema` takes, in other words. */
export const policyJsonSchema = (): Json => {
  const schema = z.toJSONSchema(policySchema, { io: 'input', target: 'draft-7' }) as Json;
  for (const [path, description] of Object.entries(WORDS)) {
    for (const part of partsAt(schema, path.split('.'))) part['description'] = description;
  }
  walk(schema, (part) => {
    // Editors read patterns without the flag that Unicode's classes need; the parser is stricter.
    if (String(part['pattern']).includes('\\p{')) {
      part['pattern'] = '^\\S(.{0,98}\\S)?$';
    }
    // A step is one verb: zod says so by a check that has no place in a schema.
    const verbs = Object.keys(objectOf(part['properties']));
    if (verbs.length > 1 && verbs.every((verb) => verb === 'await' || isStepWord(verb))) {
      part['minProperties'] = 1;
      part['maxProperties'] = 1;
    }
  });
  return {
    ...schema,
    $id: 'https://vmwarden.dev/v1/policy.schema.json',
    title: 'vmwarden policy',
  };
};

const isStepWord = (word: string): boolean => (STEP_WORDS as readonly string[]).includes(word);

const partsAt = (schema: Json, [first, ...rest]: readonly string[]): readonly Json[] => {
  if (first === undefined) return [schema];
  const below =
    first === '*'
      ? [schema['items'], schema['additionalProperties']]
      : [objectOf(schema['properties'])[first]];
  return below.filter(isObject).flatMap((part) => partsAt(part, rest));
};

const walk = (part: unknown, visit: (part: Json) => void): void => {
  if (Array.isArray(part)) for (const entry of part) walk(entry, visit);
  if (!isObject(part)) return;
  visit(part);
  for (const entry of Object.values(part)) walk(entry, visit);
};

const objectOf = (value: unknown): Json => (isObject(value) ? value : {});

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
