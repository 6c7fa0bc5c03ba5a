import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from './fault.js';

/**
 * Makes the directory `path` (absolute) and what is missing above it, with mode 0700, and sees that it can be written.
 * Step by step: Node's recursive mkdir tells a read-only file system as ENOENT, and never ends below /proc.
 *
 * Faults: DIRECTORY_UNUSABLE (FAILED_PRECONDITION), with which part of the path stands in the way and why.
 */
export const makeDirectory = async (path: string): Promise<void> => {
  const missing: string[] = [];
  let part = path;
  for (; !(await isThere(path, part)); part = dirname(part)) missing.unshift(part);
  await attempt(path, part, access(part, constants.W_OK | constants.X_OK));
  for (const next of missing) await attempt(path, next, makeOne(next));
};

const makeOne = async (part: string): Promise<void> => {
  try {
    await mkdir(part, { mode: 0o700 });
  } catch (error) {
    // Another process made it meanwhile.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
};

const isThere = (path: string, part: string): Promise<boolean> =>
  attempt(path, part, isDirectory(part));

const isDirectory = async (part: string): Promise<boolean> => {
  try {
    if (!(await stat(part)).isDirectory()) throw NOT_A_DIRECTORY;
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && dirname(part) !== part) return false;
    throw error;
  }
};

const NOT_A_DIRECTORY = Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });

const attempt = async <T>(path: string, part: string, step: Promise<T>): Promise<T> => {
  try {
    return await step;
  } catch (error) {
    const what = part === path ? "can't be used" : "can't be made";
    throw new Fault(
      'FAILED_PRECONDITION',
      'DIRECTORY_UNUSABLE',
      `The directory ${path} ${what}: ${part} ${WHY[codeOf(error) ?? ''] ?? `fails: ${codeOf(error) ?? String(error)}`}`,
      { cause: error },
    );
  }
};

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'may not be written by this user',
  EPERM: 'may not be written by this user',
  EROFS: 'is on a read-only file system',
  ENOTDIR: 'is not a directory',
  // What /proc and its like say.
  ENOENT: "can't have directories made in it",
  ENOSPC: 'is on a file system without space',
};

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
