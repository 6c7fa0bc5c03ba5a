import type { Fault } from '../../lib/fault.js';
import { withDeadline } from '../../lib/with-deadline.js';
import type { AgentHello, AgentLink, ToAgent } from '../attach.js';
import type { TakeOver } from '../driver.js';
import { notAttachedFault, silentFault, takeOverFault, unansweredFault } from './errors.js';
import type { EventsWindow } from './events-window.js';
import type { Tuning } from './tuning.js';

interface Question {
  readonly answer: (problem: string) => void;
  readonly fail: (fault: Fault) => void;
}

/** One attached agent: what was asked of it and not answered yet. */
export class Session {
  readonly hello: AgentHello;
  readonly window: EventsWindow;
  readonly sinceMs = performance.now();
  readonly #link: AgentLink;
  readonly #tuning: Tuning;
  readonly #inspections = new Map<number, Question>();
  readonly #takeOvers = new Map<number, Question>();
  readonly #heartbeat: NodeJS.Timeout;
  #asked = 0;
  /** Inspections in a row without an answer. */
  #unanswered = 0;
  #ended: Fault | null = null;

  constructor(hello: AgentHello, link: AgentLink, window: EventsWindow, tuning: Tuning) {
    this.hello = hello;
    this.window = window;
    this.#link = link;
    this.#tuning = tuning;
    this.#heartbeat = setInterval(() => {
      this.inspect().catch(() => undefined);
    }, tuning.heartbeatMs);
    this.#heartbeat.unref();
  }

  send(message: ToAgent): void {
    if (this.#ended === null) this.#link.send(message);
  }

  /** The agent has said something. */
  heard(): void {
    this.#heartbeat.refresh();
  }

  /** Resolves when the agent has said how its guest is, and that has been taken in. Rejects with a Fault. */
  async inspect(): Promise<void> {
    const { answerTimeoutMs, maxUnanswered } = this.#tuning;
    try {
      await this.#ask(this.#inspections, unansweredFault(answerTimeoutMs), (inspectId) => ({
        kind: 'inspect',
        inspectId,
      }));
      this.#unanswered = 0;
    } catch (fault) {
      this.#unanswered += 1;
      if (this.#unanswered >= maxUnanswered) this.close(silentFault(this.#unanswered));
      throw fault;
    }
  }

  inspected(inspectId: number): void {
    this.#inspections.get(inspectId)?.answer('');
  }

  /** Resolves when the agent has done it. Rejects with a Fault. */
  async takeOver(waits: TakeOver): Promise<void> {
    const problem = await this.#ask(
      this.#takeOvers,
      takeOverFault(`no answer in ${this.#tuning.answerTimeoutMs} ms`),
      (revision) => ({ kind: 'takeOver', revision, waits }),
    );
    if (problem !== '') throw takeOverFault(problem);
  }

  tookOver(revision: number, problem: string): void {
    this.#takeOvers.get(revision)?.answer(problem);
  }

  /** Ends the agent's stream. */
  close(fault: Fault): void {
    if (this.#ended !== null) return;
    this.end(fault.message);
    this.#link.end(fault);
  }

  /** The stream has ended. */
  end(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = notAttachedFault(reason);
    clearInterval(this.#heartbeat);
    this.window.end();
    for (const { fail } of [...this.#inspections.values(), ...this.#takeOvers.values()]) {
      fail(this.#ended);
    }
  }

  async #ask(
    questions: Map<number, Question>,
    late: Fault,
    message: (id: number) => ToAgent,
  ): Promise<string> {
    if (this.#ended !== null) throw this.#ended;
    this.#asked += 1;
    const id = this.#asked;
    const answered = new Promise<string>((resolve, reject) => {
      questions.set(id, { answer: resolve, fail: reject });
    });
    try {
      this.send(message(id));
      const answer = await withDeadline(this.#tuning.answerTimeoutMs, answered);
      if (answer === undefined) throw late;
      return answer;
    } finally {
      questions.delete(id);
    }
  }
}
