import { performance } from 'node:perf_hooks';
import type { Clock, Moment } from '../../src/lib/clock.js';

/** Runs like the host's clocks, and besides goes where a test wants it: forward in time, or stepped, or into another boot. */
export class JumpingClock implements Clock {
  #passedMs = 0;
  #steppedMs = 0;
  #boot = 1;

  now(): Moment {
    const monoMs = Math.round(performance.now() * 1_000) / 1_000 + this.#passedMs;
    return {
      wallMs: Date.now() + this.#passedMs + this.#steppedMs,
      monoMs,
      hostBootId: `host-boot-${this.#boot}`,
    };
  }

  pass(ms: number): void {
    this.#passedMs += ms;
  }

  /** An operator, or NTP, sets the wall clock. */
  step(ms: number): void {
    this.#steppedMs += ms;
  }

  reboot(): void {
    this.#boot += 1;
  }
}
