import { step } from './parse.js';
import type { Policy } from './policy.js';

/** What holds when the operator gave no file: decide and record, act on nothing. */
export const observePolicy = (): Policy => ({
  name: 'observe',
  hash: '',
  mode: 'observe',
  safety: {
    maxEventAgeMs: 300_000,
    maxWaitMs: 3_600_000,
    storm: null,
    concurrent: { restarts: null, dumps: null },
  },
  maintenance: [],
  budgets: {},
  rules: [],
  otherwise: [step('notify')],
});
