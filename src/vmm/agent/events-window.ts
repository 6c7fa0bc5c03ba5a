import type { Fault } from '../../lib/fault.js';
import type { AgentLink, Refusal } from '../attach.js';
import { gapFault } from './errors.js';

/** Refusals told in one acknowledgement. */
const MAX_REFUSALS = 64;

/** What one stream's events have come to: which are durable, how far they are acknowledged, whether there is room for more. */
export class EventsWindow {
  readonly #link: AgentLink;
  readonly #max: number;
  readonly #onAcknowledged: (through: bigint) => void;
  /** Under way, by sequence. */
  readonly #open = new Set<bigint>();
  /** The same, repeats counted. */
  #underWay = 0;
  #refused: Refusal[] = [];
  /** The highest sequence that came; null: none has. */
  #last: bigint | null = null;
  #through = 0n;
  #told = false;
  #scheduled = false;
  #ended = false;
  #room: (() => void)[] = [];

  constructor(
    link: AgentLink,
    options: {
      readonly max: number;
      /** Of this instance, as far as it is known. */
      readonly through: bigint;
      readonly onAcknowledged: (through: bigint) => void;
    },
  ) {
    this.#link = link;
    this.#max = options.max;
    this.#through = options.through;
    this.#onAcknowledged = options.onAcknowledged;
  }

  /** Waits for room, then takes the event's number in. Answers what to call once it is durable or refused for good. */
  async admit(sequence: bigint): Promise<(refused: Fault | null) => void> {
    const next = this.#last === null ? this.#through + 1n : this.#last + 1n;
    // With nothing known of the instance, the first number is taken as it is.
    const first = this.#last === null && this.#through === 0n;
    if (sequence > next && !first) throw gapFault(sequence, next);
    while (this.#underWay >= this.#max && !this.#ended) {
      await new Promise<void>((resolve) => this.#room.push(resolve));
    }
    this.#underWay += 1;
    if (first) this.#through = sequence - 1n;
    if (this.#last === null || sequence > this.#last) this.#last = sequence;
    if (sequence > this.#through) this.#open.add(sequence);
    return (refused) => this.#settle(sequence, refused);
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  #settle(sequence: bigint, fault: Fault | null): void {
    this.#open.delete(sequence);
    this.#underWay -= 1;
    if (fault !== null) this.#refused.push({ sequence, fault });
    this.#wake();
    this.#told = false;
    if (this.#scheduled) return;
    this.#scheduled = true;
    // What one commit made durable is acknowledged together.
    setImmediate(() => {
      this.#scheduled = false;
      this.#acknowledge();
    });
  }

  #acknowledge(): void {
    const oldest = this.#oldest();
    const through = oldest === null ? (this.#last ?? this.#through) : oldest - 1n;
    if (through > this.#through) {
      this.#through = through;
      this.#onAcknowledged(through);
    }
    if (this.#ended || this.#told) return;
    this.#told = true;
    const ready = this.#refused.filter(({ sequence }) => sequence <= this.#through);
    this.#refused = this.#refused.filter(({ sequence }) => sequence > this.#through);
    do {
      const refused = ready.splice(0, MAX_REFUSALS);
      this.#link.send({ kind: 'eventsAck', through: this.#through, refused });
    } while (ready.length > 0);
  }

  #oldest(): bigint | null {
    // Sequences are taken in ascending order, and a repeat that is under way keeps its place.
    for (const sequence of this.#open) return sequence;
    return null;
  }

  #wake(): void {
    const waiting = this.#room;
    this.#room = [];
    for (const resolve of waiting) resolve();
  }
}
