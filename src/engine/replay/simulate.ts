import {
  type DecisionDifference,
  type SimulatedDecision,
  type SimulatePolicyResponse,
  SimulationDetail,
  type SimulationSummary,
} from '../../gen/vmwarden/v1/policy_service.js';
import { type Decision, type EventRecord, Record } from '../../gen/vmwarden/v1/record.js';
import { EventType, Initiator, Origin } from '../../gen/vmwarden/v1/system_event.js';
import type { Journal } from '../../journal/journal.js';
import type { Policy } from '../../policy/policy.js';
import type { VmIdentity } from '../../policy/selector.js';
import { INITIATOR, ORIGIN } from '../record-words.js';
import { type Difference, Differences } from './differences.js';
import type { Begun, Decided } from './news.js';
import type { Sequenced } from './recorded-plan.js';
import { Replay } from './replay.js';
import { Summary } from './summary.js';

export interface SimulationOptions {
  readonly policy: Policy;
  /** Compared with; null: with what was decided. */
  readonly base: Policy | null;
  /** Decisions on events journaled before are made and not told. null: all are told. */
  readonly sinceMs: number | null;
  readonly detail: SimulationDetail;
  /** Only decisions of these are told; empty: all. */
  readonly vmIds: readonly string[];
  /** The configuration's, for VMs of which no decision has told them yet. Default: none. */
  readonly labels?: ReadonlyMap<string, VmIdentity['labels']>;
  /** Called often; may let others go first, or throw to end it. */
  readonly breathe: () => Promise<void>;
}

export type SimulationSource = Pick<Journal, 'id' | 'status' | 'read' | 'newestBefore'>;

const BATCH_RECORDS = 1_024;
const BATCH_BYTES = 1_048_576;
/** Records between two breaths: some tenths of a millisecond. */
const BREATH_RECORDS = 64;
/** Events of which is remembered what they were, for decisions that only the journal has. */
const MAX_EVENTS = 4_096;

/**
 * Replays a journal up to what is newest as it begins, from its oldest record on, since budgets and holds remember. In
 * constant memory, but for a row of each VM. The summary comes last. Faults: those of the journal.
 */
export async function* simulate(
  source: SimulationSource,
  options: SimulationOptions,
): AsyncGenerator<SimulatePolicyResponse> {
  const { oldest, newest } = source.status();
  const after = options.sinceMs === null ? 0 : source.newestBefore(options.sinceMs);
  const simulation = new Simulation(source.id, after, options);
  const begin = Math.max(0, oldest - 1);
  let scanned = begin;
  while (scanned < newest) {
    const batch = await source.read({
      after: scanned,
      limit: Math.min(BATCH_RECORDS, newest - scanned),
      maxBytes: BATCH_BYTES,
    });
    if (batch.scanned <= scanned) break;
    scanned = batch.scanned;
    for (let index = 0; index < batch.records.length; index += BREATH_RECORDS) {
      await options.breathe();
      simulation.feed(
        batch.records
          .slice(index, index + BREATH_RECORDS)
          .map(({ sequence, bytes }) => ({ sequence, record: Record.decode(bytes) })),
      );
      yield* simulation.take();
    }
    const progress = { records: BigInt(scanned - begin), totalRecords: BigInt(newest - begin) };
    yield { message: { $case: 'progress', value: progress } };
  }
  simulation.end();
  yield* simulation.take();
  yield { message: { $case: 'summary', value: simulation.summary(oldest) } };
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #after: number;
  readonly #replay: Replay;
  readonly #base: Replay | null;
  readonly #summary = new Summary();
  readonly #differences: Differences;
  readonly #vmIds: ReadonlySet<string>;
  readonly #events = new Map<bigint, EventRecord>();
  #told: SimulatePolicyResponse[] = [];
  #count = 0;
  #lost = 0;
  #from: Date | undefined;
  #to: Date | undefined;

  constructor(journalId: string, after: number, options: SimulationOptions) {
    this.#options = options;
    this.#after = after;
    this.#vmIds = new Set(options.vmIds);
    this.#differences = new Differences((difference) => this.#differs(difference));
    const labels = options.labels ?? new Map();
    this.#replay = new Replay({
      policy: options.policy,
      journalId,
      labels,
      onDecided: (decided) => this.#decided(decided),
      onBegun: (begun) => this.#begun(begun),
    });
    this.#base =
      options.base === null
        ? null
        : new Replay({
            policy: options.base,
            journalId,
            labels,
            onDecided: (decided) => {
              if (this.#isTold(decided.vm, decided.facts.sequence)) {
                this.#differences.add('before', simulated(decided));
              }
            },
            onBegun: () => undefined,
          });
  }

  feed(records: readonly Sequenced[]): void {
    for (const { sequence, record } of records) this.#look(sequence, record);
    this.#replay.feed(records, false);
    this.#base?.feed(records, false);
  }

  end(): void {
    this.#replay.feed([], true);
    this.#base?.feed([], true);
    this.#differences.end();
  }

  take(): readonly SimulatePolicyResponse[] {
    const told = this.#told;
    if (told.length > 0) this.#told = [];
    return told;
  }

  summary(oldest: number): SimulationSummary {
    const { recordedOutcomes, assumedOutcomes, rows } = this.#replay;
    return {
      events: BigInt(this.#count),
      decisions: BigInt(this.#summary.decisions),
      from: this.#from,
      to: this.#to,
      rules: this.#summary.rules(this.#options.policy),
      ...this.#summary.vms(rows),
      same: BigInt(this.#differences.same),
      different: BigInt(this.#differences.different),
      recordedOutcomes: BigInt(recordedOutcomes),
      assumedOutcomes: BigInt(assumedOutcomes),
      assumptions: this.#assumptions(),
      warnings: this.#warnings(oldest),
    };
  }

  /** What the journal itself says, whatever the policies make of it. */
  #look(sequence: number, { vmId, incidentId, recordedAt, body }: Record): void {
    switch (body?.$case) {
      case 'event':
        if (this.#isTold(vmId, sequence)) {
          this.#count += 1;
          this.#from ??= recordedAt;
          this.#to = recordedAt;
        }
        if (this.#base === null) this.#keep(sequence, body.value);
        return;
      case 'decision':
        if (this.#base === null) this.#wasDecided(vmId, incidentId, body.value);
        return;
      case 'loss':
        this.#lost += 1;
        return;
      default:
    }
  }

  #keep(sequence: number, event: EventRecord): void {
    this.#events.set(BigInt(sequence), event);
    if (this.#events.size <= MAX_EVENTS) return;
    for (const oldest of this.#events.keys()) {
      this.#events.delete(oldest);
      return;
    }
  }

  #wasDecided(vmId: string, incidentId: string, decision: Decision): void {
    if (!this.#isTold(vmId, Number(decision.eventSequence))) return;
    const event = this.#events.get(decision.eventSequence);
    this.#differences.add('before', {
      vmId,
      incidentId,
      eventType: event?.event?.type ?? EventType.UNSPECIFIED,
      origin: event?.origin ?? Origin.UNSPECIFIED,
      initiator: event?.initiator ?? Initiator.UNSPECIFIED,
      decision,
    });
  }

  #decided(decided: Decided): void {
    if (!this.#isTold(decided.vm, decided.facts.sequence)) return;
    const decision = simulated(decided);
    this.#summary.decided(decision);
    if (this.#options.detail === SimulationDetail.DECISIONS) {
      this.#told.push({ message: { $case: 'decision', value: decision } });
    }
    this.#differences.add('after', decision);
  }

  #begun(begun: Begun): void {
    if (this.#isTold(begun.vm, begun.event)) this.#summary.begun(begun);
  }

  #differs({ before, after, changed }: Difference): void {
    if (this.#options.detail === SimulationDetail.UNSPECIFIED) return;
    const value: DecisionDifference = { before, after, changed: [...changed] };
    this.#told.push({ message: { $case: 'difference', value } });
  }

  #isTold(vm: string, sequence: number): boolean {
    return sequence > this.#after && (this.#vmIds.size === 0 || this.#vmIds.has(vm));
  }

  #assumptions(): string[] {
    const { recordedOutcomes, assumedOutcomes, leftOut } = this.#replay;
    return [
      'Events are taken as the journal has them: a guest that this policy would have treated otherwise is taken to have gone on as it did.',
      ...(recordedOutcomes > 0
        ? [`${recordedOutcomes} steps that were taken then too are taken to end as they did.`]
        : []),
      ...(assumedOutcomes > 0
        ? [`${assumedOutcomes} steps that were not taken then are taken to be applied at once.`]
        : []),
      ...(leftOut > 0
        ? [`${leftOut} events that came of steps which are not taken here are left out.`]
        : []),
    ];
  }

  #warnings(oldest: number): string[] {
    const { unreadable } = this.#replay;
    return [
      ...(oldest > 1
        ? [
            `The journal begins at record ${oldest}: what budgets, holds and incidents had kept from before it is not known.`,
          ]
        : []),
      ...(unreadable > 0
        ? [`${unreadable} events of a newer vmwarden can't be read and were left out.`]
        : []),
      ...(this.#lost > 0
        ? [`The journal has ${this.#lost} loss markers: what was dropped is not replayed.`]
        : []),
    ];
  }
}

const simulated = ({ vm, incident, facts, decision }: Decided): SimulatedDecision => ({
  vmId: vm,
  incidentId: incident,
  eventType: EventType[facts.event.type],
  origin: ORIGIN[facts.origin],
  initiator: INITIATOR[facts.initiator],
  decision,
});
