import type { Io } from './io.js';

/** On a terminal one line on stderr that is written over, with a bar; else nothing. */
export interface Progress {
  show(done: number, total: number): void;
  /** Before anything else is printed, and at the end. */
  clear(): void;
}

const WIDTH = 30;

export const createProgress = (
  { stderr }: Pick<Io, 'stderr'>,
  what: string,
  json: boolean,
): Progress => {
  const shown = !json && stderr.isTTY === true;
  let last = -1;
  return {
    show: (done, total) => {
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      if (!shown || percent === last) return;
      last = percent;
      const bar = '#'.repeat(Math.round((WIDTH * percent) / 100)).padEnd(WIDTH);
      const counts = `${done.toLocaleString('en')} of ${total.toLocaleString('en')}`;
      stderr.write(`\r\u001b[K${what} [${bar}] ${percent} %, ${counts}`);
    },
    clear: () => {
      if (last >= 0) stderr.write('\r\u001b[K');
      last = -1;
    },
  };
};
