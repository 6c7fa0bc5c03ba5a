import { Fault, type Violation } from '../lib/fault.js';

/** Collects what is wrong with a request's fields, so that its sender learns all of it at once. */
export interface FieldCheck {
  add(field: string, value: string | undefined, expected: string): void;
  /** Identifiers: printable ASCII, so that they are safe in a log, a table and a shell's history. */
  text(
    field: string,
    value: string,
    limits: { readonly maxBytes: number; readonly required?: boolean },
  ): void;
  addAll(violations: readonly Violation[]): void;
  /** Throws INVALID_FIELDS when anything was added. */
  done(message: string): void;
}

export const createFieldCheck = (): FieldCheck => {
  const violations: Violation[] = [];
  const add = (field: string, value: string | undefined, expected: string): void => {
    violations.push(value === undefined ? { field, expected } : { field, value, expected });
  };
  return {
    add,
    addAll: (more) => violations.push(...more),
    text: (field, value, { maxBytes, required = false }) => {
      if (value === '' && required) add(field, 'nothing', `1 to ${maxBytes} characters`);
      if (value.length > maxBytes) {
        add(field, `${Buffer.byteLength(value)} bytes`, `at most ${maxBytes} bytes`);
      } else if (!/^[ -~]*$/.test(value)) {
        add(field, quoted(value), 'printable ASCII characters only');
      }
    },
    done: (message) => {
      if (violations.length === 0) return;
      const [first] = violations;
      const more = violations.length > 1 ? ` and ${violations.length - 1} more` : '';
      throw new Fault('INVALID_ARGUMENT', 'INVALID_FIELDS', `${message}: ${first?.field}${more}`, {
        violations,
      });
    },
  };
};

/** A value as it may stand in a message: quoted, ASCII, at most 64 characters of it. */
export const quoted = (value: string): string =>
  JSON.stringify(value.slice(0, 64)).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
