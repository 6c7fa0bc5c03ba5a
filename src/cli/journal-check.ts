import { decodeVmRow, VM_ROW_PREFIX } from '../engine/vm-row.js';
import { Record } from '../gen/vmwarden/v1/record.js';
import type { VerifyOptions } from '../journal/lmdb/verify.js';

/** What makes an entry of the journal one that this version can use. */
export const entryChecks: Required<Pick<VerifyOptions, 'checkRecord' | 'checkRow'>> = {
  checkRecord: ({ vm, bytes }) => {
    try {
      const { vmId, body } = Record.decode(bytes);
      if (body === undefined) return 'it is of no kind that this version knows';
      if (vmId !== vm) return `it says VM '${vmId}' and was filed under '${vm}'`;
      return null;
    } catch (error) {
      return `it can't be decoded: ${error instanceof Error ? error.message : error}`;
    }
  },
  checkRow: ({ key, value }) =>
    key.startsWith(VM_ROW_PREFIX) && decodeVmRow(value) === null ? "it can't be decoded" : null,
};
