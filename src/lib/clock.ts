/** A moment on this host: two clocks, and which host boot the monotonic one counts in. */
export interface Moment {
  /** Milliseconds since the epoch; may jump. */
  readonly wallMs: number;
  /** Milliseconds of the host's monotonic clock (CLOCK_MONOTONIC); same for all processes of one host boot. */
  readonly monoMs: number;
  /** /proc/sys/kernel/random/boot_id. */
  readonly hostBootId: string;
}

export interface Clock {
  now(): Moment;
}

/**
 * How long ago `then` was, in milliseconds, never negative. Monotonic within one host boot, else by the
 * wall clock; when that jumped back the age is 0, so that an attempt still counts as recent.
 */
export const ageMs = (then: Moment, now: Moment): number =>
  Math.max(
    0,
    then.hostBootId === now.hostBootId ? now.monoMs - then.monoMs : now.wallMs - then.wallMs,
  );

/**
 * The same moment told by the clocks of the host's present boot, which alone tell its age from `now` on: a wall clock that
 * is set later makes it neither older nor younger.
 */
export const carried = (then: Moment, now: Moment): Moment => {
  if (then.hostBootId === now.hostBootId) return then;
  const age = ageMs(then, now);
  return { wallMs: now.wallMs - age, monoMs: now.monoMs - age, hostBootId: now.hostBootId };
};
