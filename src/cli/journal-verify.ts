import { decodeVmRow, VM_ROW_PREFIX } from '../engine/vm-row.js';
import { Record } from '../gen/vmwarden/v1/record.js';
import { openLmdbReader } from '../journal/lmdb/lmdb-reader.js';
import type { VerifyOptions } from '../journal/lmdb/verify.js';
import { FAILED, GOOD, type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { styleOf } from './style.js';

/** Walks through the journal in `dir` and prints each thing that is wrong: 0 when nothing is, else 1. */
export const journalVerify = async (
  io: Io,
  dir: string,
  options: { readonly json: boolean },
): Promise<number> => {
  const reader = await openLmdbReader({ dir });
  const style = styleOf(io.stdout, io.env);
  const progress = progressOf(io, options.json);
  try {
    const report = await reader.verify({
      checkRecord,
      checkRow,
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

const checkRecord: Required<VerifyOptions>['checkRecord'] = ({ vm, bytes }) => {
  try {
    const { vmId, body } = Record.decode(bytes);
    if (body === undefined) return 'it is of no kind that this version knows';
    if (vmId !== vm) return `it says VM '${vmId}' and was filed under '${vm}'`;
    return null;
  } catch (error) {
    return `it can't be decoded: ${error instanceof Error ? error.message : error}`;
  }
};

const checkRow: Required<VerifyOptions>['checkRow'] = ({ key, value }) =>
  key.startsWith(VM_ROW_PREFIX) && decodeVmRow(value) === null ? "it can't be decoded" : null;

/** On a terminal one line that is written over; else nothing. */
const progressOf = (io: Io, json: boolean) => {
  const shown = !json && io.stderr.isTTY === true;
  let last = -1;
  return {
    show: (done: number, total: number): void => {
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      if (!shown || percent === last) return;
      last = percent;
      io.stderr.write(`\r\u001b[Kverifying ${percent} %`);
    },
    clear: (): void => {
      if (last >= 0) io.stderr.write('\r\u001b[K');
      last = -1;
    },
  };
};
