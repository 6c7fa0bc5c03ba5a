import type { Decision, Record, StepUpdate } from '../../gen/vmwarden/v1/record.js';
import type { Outcome } from '../../vmm/driver.js';

/** What was done about the VM's latest incident then. */
interface Acts {
  readonly incident: string;
  readonly decision: Decision;
  /** Planned, and not ended yet. */
  readonly open: Set<string>;
  readonly ended: Map<string, Outcome>;
  /** The latest step that began; empty: none. */
  begun: string;
}

/** What the journal has of acts, for a replay that takes other ones, or the same at another time. */
export class RecordedActs {
  readonly #then = new Map<string, Acts>();
  /** What was begun on the VM's latest incident here. */
  readonly #here = new Map<string, { readonly event: number; readonly verbs: Set<string> }>();

  /** The same decision may be told twice. */
  decided(vm: string, incident: string, decision: Decision): void {
    if (this.#then.get(vm)?.decision === decision) return;
    const open = new Set(decision.plan.map(({ verb }) => verb));
    this.#then.set(vm, { incident, decision, open, ended: new Map(), begun: '' });
  }

  /** A step began then (`outcome` null), or ended. */
  stepped({ vmId, incidentId }: Record, { verb }: StepUpdate, outcome: Outcome | null): void {
    const then = this.#then.get(vmId);
    if (then?.incident !== incidentId) return;
    if (outcome === null) {
      then.begun = verb;
      return;
    }
    then.open.delete(verb);
    // What was called off before it began says nothing of how it would have ended.
    if (then.begun !== '' || outcome.kind !== 'cancelled') then.ended.set(verb, outcome);
  }

  begunHere(vm: string, event: number, verb: string): void {
    const here = this.#here.get(vm);
    if (here?.event === event) here.verbs.add(verb);
    else this.#here.set(vm, { event, verbs: new Set([verb]) });
  }

  /** How the step ended on this incident, told once; `open`: it has yet to; `unknown`: it was not taken. */
  endingOf(vm: string, incident: string, verb: string): Outcome | 'open' | 'unknown' {
    const then = this.#then.get(vm);
    if (then?.incident !== incident) return 'unknown';
    const outcome = then.ended.get(verb);
    if (outcome === undefined) return then.open.has(verb) ? 'open' : 'unknown';
    then.ended.delete(verb);
    return outcome;
  }

  /** The event came of a step of vmwarden's that was not begun on the same incident here. */
  isOfOther({ vmId, incidentId }: Record): boolean {
    const then = this.#then.get(vmId);
    if (incidentId === '' || then?.incident !== incidentId) return false;
    const here = this.#here.get(vmId);
    const answers = here !== undefined && BigInt(here.event) === then.decision.eventSequence;
    return !(answers && here.verbs.has(then.begun));
  }
}
