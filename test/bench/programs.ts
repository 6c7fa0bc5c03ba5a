import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** Where daemons are; a user's PATH may leave it out. */
const MORE_FOLDERS = ['/usr/sbin', '/sbin'];

/** Absolute path of a program that is installed, or null. */
export const findProgram = (name: string): string | null => {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter((entry) => entry !== '');
  for (const folder of [...folders, ...MORE_FOLDERS]) {
    const program = path.join(folder, name);
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      // Not in this folder.
    }
  }
  return null;
};
