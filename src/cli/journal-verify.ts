import { openLmdbReader } from '../journal/lmdb/lmdb-reader.js';
import { FAILED, GOOD, type Io, printJson, printLine } from './io.js';
import { entryChecks } from './journal-check.js';
import { plainText } from './plain-text.js';
import { createProgress } from './progress.js';
import { styleOf } from './style.js';

/** Walks through the journal in `dir` and prints each thing that is wrong: 0 when nothing is, else 1. */
export const journalVerify = async (
  io: Io,
  dir: string,
  options: { readonly json: boolean },
): Promise<number> => {
  const reader = await openLmdbReader({ dir });
  const style = styleOf(io.stdout, io.env);
  const progress = createProgress(io, 'verifying', options.json);
  try {
    const report = await reader.verify({
      ...entryChecks,
      onProblem: (problem) =>
        options.json
          ? printJson(io.stdout, { kind: 'problem', problem })
          : printLine(io.stdout, style('red', plainText(problem))),
      onProgress: progress.show,
    });
    progress.clear();
    const ok = report.problems === 0;
    if (options.json) {
      await printJson(io.stdout, { kind: 'result', ok, ...report });
    } else {
      const { records, historyEntries, rows, problems } = report;
      const walked = `${records} records, ${historyEntries} history entries, ${rows} rows`;
      const verdict = ok ? style('green', 'good') : style('red', `${problems} problems`);
      await printLine(io.stdout, `${verdict}: ${walked}`);
    }
    return ok ? GOOD : FAILED;
  } finally {
    progress.clear();
    await reader.close();
  }
};
