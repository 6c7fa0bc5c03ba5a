/** Times and bounds of a QEMU driver; tests shorten them. Milliseconds and bytes. */
export interface Tuning {
  /** For connecting, the greeting, and the first answers: each. */
  readonly connectTimeoutMs: number;
  /** For the answer to one command, or one write of several. */
  readonly commandTimeoutMs: number;
  /**
   * After a connection ended the first attempt is at once; then base, doubled each time, less up to half. Connections
   * in a row that lived for less than `steadyMs` count as attempts, from the second on.
   */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly steadyMs: number;
  /** Between two looks at a guest that migrates. */
  readonly migrationPollMs: number;
  /** Between two looks at a dump. */
  readonly dumpPollMs: number;
  /** A QEMU that said that it ends is not spoken to for so long; it ends in some ms, or stays. */
  readonly endingMs: number;
  readonly maxLineBytes: number;
  /** An inspection that was asked for longer ago is asked for again before acting on it. */
  readonly answerMaxAgeMs: number;
}

export const TUNING: Tuning = {
  connectTimeoutMs: 5_000,
  commandTimeoutMs: 5_000,
  backoffBaseMs: 5,
  backoffMaxMs: 5_000,
  steadyMs: 5_000,
  migrationPollMs: 1_000,
  dumpPollMs: 100,
  endingMs: 1_000,
  // query-cpus-fast of a guest with 4096 vCPUs is the longest answer asked for.
  maxLineBytes: 1024 * 1024,
  // From `migrate` to status completed QEMU 7.2 takes at least 2.3 ms for a stopped guest of 1 MiB, and 6.1 ms for one
  // of 64 MiB (18 tries, unix socket, unlimited bandwidth).
  answerMaxAgeMs: 2,
};
