import { type FaultCode, isFault } from '../lib/fault.js';

/** What goes to standard error under `--json`, one object a line: see docs/cli.md. */
export interface ErrorJson {
  readonly error: {
    /** A name of google.rpc.Code. */
    readonly code: FaultCode;
    readonly reason: string;
    readonly message: string;
    readonly violations: readonly { readonly field: string; readonly expected: string }[];
    readonly metadata: Readonly<Record<string, string>>;
    readonly retryAfterMs: number | null;
  };
}

const nothingMore = { violations: [], metadata: {}, retryAfterMs: null };

export const errorJson = (error: unknown): ErrorJson => {
  if (!isFault(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code: 'INTERNAL', reason: 'INTERNAL_ERROR', message, ...nothingMore } };
  }
  const { code, reason, message, detail } = error;
  const { violations = [], metadata = {}, retryAfterMs = null } = detail;
  return {
    error: { code, reason, message, violations: [...violations], metadata, retryAfterMs },
  };
};

/** Of a command line that no command takes, or a configuration that can't be. */
export const wrongUse = (text: string, reason = 'WRONG_USE'): ErrorJson => ({
  error: {
    code: 'INVALID_ARGUMENT',
    reason,
    message: text.trim().replace(/^error: /, ''),
    ...nothingMore,
  },
});
