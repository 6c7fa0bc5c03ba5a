import { open, stat } from 'node:fs/promises';
import { sha256 } from '../lib/sha256.js';
import { PROBLEMS, type ProblemId } from '../policy/problem.js';

const MAX_BYTES = 1_048_576;

/** What is on disk, with a mark that tells contents (and failures to read) apart. */
export type PolicyContent =
  | { readonly mark: string; readonly text: string }
  | { readonly mark: string; readonly id: ProblemId; readonly message: string };

/** Never rejects. */
export const readPolicyContent = async (file: string): Promise<PolicyContent> => {
  const failed = (id: ProblemId, message: string): PolicyContent => ({
    mark: message,
    id,
    message,
  });
  try {
    // A pipe or a device would keep us waiting.
    const found = await stat(file);
    if (!found.isFile()) return failed(PROBLEMS.unreadable, 'not a regular file');
    const handle = await open(file, 'r');
    try {
      let buffer = new Uint8Array(Math.min(found.size, MAX_BYTES) + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
        length += bytesRead;
        if (bytesRead === 0 || length > MAX_BYTES) break;
        if (length < buffer.length) continue;
        // It has grown since.
        const larger = new Uint8Array(MAX_BYTES + 1);
        larger.set(buffer);
        buffer = larger;
      }
      if (length > MAX_BYTES) {
        return failed(PROBLEMS.tooLarge, `the file is larger than ${MAX_BYTES} bytes`);
      }
      const bytes = buffer.subarray(0, length);
      const mark = sha256(bytes);
      try {
        // The mark of order is kept, so that the policy's hash is the file's.
        const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
        return { mark, text: decoder.decode(bytes) };
      } catch {
        return { mark, id: PROBLEMS.syntax, message: 'the file is not UTF-8 text' };
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const what = code === 'ENOENT' ? 'there is no such file' : `the file can't be read: ${code}`;
    return failed(PROBLEMS.unreadable, what);
  }
};
