import { formatPath, type Path } from '../policy/problem.js';

export type { Path };

/** One thing wrong with the configuration. */
export interface ConfigProblem {
  /** `FILE:LINE:COLUMN`, `environment NAME` or `flag --NAME`. */
  readonly place: string;
  /** As in the file: `vms[0].driver.socket`; empty for a file as a whole. */
  readonly path: string;
  /** Names the value and what was expected. */
  readonly message: string;
  /** What to do; empty when the message says it. */
  readonly hint: string;
}

/** `place: path: message (hint)`, on one line. */
export const formatConfigProblem = ({ place, path, message, hint }: ConfigProblem): string =>
  `${place}: ${path === '' ? '' : `${path}: `}${message}${hint === '' ? '' : ` (${hint})`}`;

/** A problem at a place of the document; where that comes from is looked up later. */
export interface Finding {
  readonly path: Path;
  /** Show the key, not the value. */
  readonly part: 'key' | 'value';
  readonly message: string;
  readonly hint: string;
}

export const finding = (path: Path, message: string, hint = ''): Finding => ({
  path,
  part: 'value',
  message,
  hint,
});

export { formatPath };
