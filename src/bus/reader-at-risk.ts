import { sayDuration } from '../lib/duration.js';

/** A consumer group that records are about to be trimmed away from, unread or unacked. */
export interface ReaderAtRisk {
  readonly stream: string;
  readonly group: string;
  /** How far it is on the way to losing them: 0.8 to 1 and beyond, of the age and length that are kept. */
  readonly share: number;
  /** Milliseconds since the oldest that it needs was published. */
  readonly oldestMs: number;
  /** Records that it has not acked; an estimate where Redis doesn't say. */
  readonly behind: number;
}

export const sayAtRisk = ({ stream, group, oldestMs, behind }: ReaderAtRisk): string =>
  `group ${group} is about to lose records of ${stream}: ${behind} are unread or unacked, the oldest is ${sayDuration(oldestMs)} old`;
