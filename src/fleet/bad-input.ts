import { Fault, type Violation } from '../lib/fault.js';

/** FLEET_BAD_INPUT, with everything that is wrong. */
export const badInput = (violations: readonly Violation[]): Fault =>
  new Fault(
    'INVALID_ARGUMENT',
    'FLEET_BAD_INPUT',
    violations
      .map(
        ({ field, value, expected }) => `${field} is ${value ?? 'absent'}; expected ${expected}.`,
      )
      .join(' '),
    { violations },
  );
