import type { AgentOutcome, AgentVerb, Verdict } from '../attach.js';
import type { Progress } from '../driver.js';

/** Steps that are over and known again. */
const KEPT = 64;

export interface OpenStep {
  readonly id: string;
  readonly verb: AgentVerb;
  readonly dumpPath: string;
  /** By performance.now(). */
  readonly endsAtMs: number;
  /** The VMM process and the agent's count of boots that it is for. */
  readonly bootId: string;
  readonly boots: number;
  readonly onProgress: (progress: Progress) => void;
  readonly settled: Promise<AgentOutcome>;
}

/** What became of a step: the digest of its agent's outcome, ended by the driver's own eyes, or given up. */
type Ending = { readonly digest: string } | 'seen' | 'givenUp';

/** The step that is asked for, and how those before it ended: an outcome counts once. */
export class Steps {
  readonly #over = new Map<string, Ending>();
  #open: { readonly step: OpenStep; readonly resolve: (outcome: AgentOutcome) => void } | null =
    null;

  get open(): OpenStep | null {
    return this.#open?.step ?? null;
  }

  begin(asked: Omit<OpenStep, 'settled'>): OpenStep {
    let resolve: (outcome: AgentOutcome) => void = () => undefined;
    const settled = new Promise<AgentOutcome>((settle) => {
      resolve = settle;
    });
    const step = { ...asked, settled };
    this.#over.delete(step.id);
    this.#open = { step, resolve };
    return step;
  }

  /** What the agent says became of a step. */
  answered(id: string, outcome: AgentOutcome): Verdict {
    const digest = JSON.stringify(outcome);
    if (this.#open?.step.id === id) {
      this.#end({ digest }, outcome);
      return 'taken';
    }
    const ending = this.#over.get(id);
    if (ending === undefined) return 'unknownStep';
    if (ending === 'givenUp') return 'late';
    if (ending === 'seen') {
      this.#keep(id, { digest });
      return 'taken';
    }
    return ending.digest === digest ? 'repeated' : 'conflicting';
  }

  /** The driver itself has seen how it ended. */
  saw(outcome: AgentOutcome): void {
    this.#end('seen', outcome);
  }

  /** Nobody waits for it any more. Answers whether it was open. */
  giveUp(): boolean {
    const open = this.#open;
    if (open === null) return false;
    this.#open = null;
    this.#keep(open.step.id, 'givenUp');
    return true;
  }

  #end(ending: Ending, outcome: AgentOutcome): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    this.#keep(open.step.id, ending);
    open.resolve(outcome);
  }

  #keep(id: string, ending: Ending): void {
    this.#over.delete(id);
    this.#over.set(id, ending);
    for (const oldest of this.#over.keys()) {
      if (this.#over.size <= KEPT) break;
      this.#over.delete(oldest);
    }
  }
}
