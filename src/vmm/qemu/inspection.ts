import {
  parseDump,
  parseMigration,
  parseStatus,
  QUERY_DUMP,
  QUERY_MIGRATE,
  QUERY_STATUS,
} from './commands.js';
import type { Command, Reply } from './messages.js';
import type { Answers } from './settle.js';

/** All that a verb asks before it acts, in this order: what has ended by the last answer shows there. */
export const INSPECTION: readonly Command[] = [QUERY_MIGRATE, QUERY_DUMP, QUERY_STATUS];

/** Throws a Fault when they are none known here. */
export const answersOf = (replies: readonly Reply[]): Answers => ({
  migration: parseMigration(replies[0]),
  dump: parseDump(replies[1]),
  raw: parseStatus(replies[2]),
});

/** null: they are none known here. */
export const tryAnswers = (replies: readonly Reply[]): Answers | null => {
  try {
    return answersOf(replies);
  } catch {
    return null;
  }
};
