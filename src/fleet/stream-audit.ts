import type { AuditedGap, HostAudit, JournalSpan, RecordIdentity } from './fleet.js';
import type { Range } from './host-progress.js';

interface HostFindings {
  readonly spans: Map<string, { first: number; last: number; records: number }>;
  readonly holes: (Range & { readonly journalId: string })[];
  readonly losses: (Range & { readonly journalId: string; readonly reason: string })[];
  repeats: number;
  unreadable: number;
}

/** Checks streams from what their entries say alone. Pure; holds what is odd, and nothing of what is in order. */
export class StreamAudit {
  readonly #hosts = new Map<string, HostFindings>();

  /** The next entry of a host; `loss`: it is a loss marker over this, or in the place of it. */
  see(
    { host, journalId, sequence }: RecordIdentity,
    loss: (Range & { readonly reason: string }) | null,
  ): void {
    const findings = this.#of(host);
    if (loss !== null) findings.losses.push({ journalId, ...loss });
    const isInPlace = loss?.last === sequence;
    const known = findings.spans.get(journalId);
    if (known !== undefined && sequence <= known.last) {
      findings.repeats += 1;
      return;
    }
    // Of the first journal the oldest records may have been trimmed away; a later one begins at 1.
    const oldest = isInPlace ? Math.min(loss.first, sequence) : sequence;
    const expected = (known?.last ?? (findings.spans.size === 0 ? oldest - 1 : 0)) + 1;
    const span = known ?? { first: expected, last: 0, records: 0 };
    findings.spans.set(journalId, span);
    const last = isInPlace ? sequence : sequence - 1;
    if (last >= expected) findings.holes.push({ journalId, first: expected, last });
    span.last = sequence;
    if (!isInPlace) span.records += 1;
  }

  seeUnreadable(host: string): void {
    this.#of(host).unreadable += 1;
  }

  /** `published`: what each host was told that the stream has. */
  findings(
    published: ReadonlyMap<string, { readonly journalId: string; readonly sequence: number }>,
  ): HostAudit[] {
    for (const host of published.keys()) this.#of(host);
    return [...this.#hosts]
      .map(([host, { spans, holes, losses, repeats, unreadable }]): HostAudit => {
        const told = published.get(host);
        // Trimming begins at the oldest: while a journal before it is there, none of its own is trimmed.
        const last = spans.get(told?.journalId ?? '')?.last ?? (spans.size > 0 ? 0 : undefined);
        return {
          host,
          journals: [...spans].map(([journalId, span]): JournalSpan => ({ journalId, ...span })),
          gaps: holes.flatMap((hole) => explained(hole, losses)),
          repeats,
          unreadable,
          missingTail:
            told === undefined || last === undefined || last >= told.sequence
              ? null
              : { first: last + 1, last: told.sequence },
        };
      })
      .sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  #of(host: string): HostFindings {
    let findings = this.#hosts.get(host);
    if (findings === undefined) {
      findings = { spans: new Map(), holes: [], losses: [], repeats: 0, unreadable: 0 };
      this.#hosts.set(host, findings);
    }
    return findings;
  }
}

/** Cuts a hole into what loss markers name, wherever in the journal they stand, and what none does. */
const explained = (
  hole: Range & { readonly journalId: string },
  losses: HostFindings['losses'],
): AuditedGap[] => {
  const { journalId } = hole;
  const parts: AuditedGap[] = [];
  let at = hole.first;
  const marks = losses
    .filter((loss) => loss.journalId === journalId && loss.last >= at && loss.first <= hole.last)
    .sort((a, b) => a.first - b.first);
  for (const { first, last, reason } of marks) {
    if (first > at) parts.push({ journalId, first: at, last: first - 1, reason: null });
    const from = Math.max(first, at);
    const to = Math.min(last, hole.last);
    if (to >= from) parts.push({ journalId, first: from, last: to, reason });
    at = Math.max(at, to + 1);
  }
  if (at <= hole.last) parts.push({ journalId, first: at, last: hole.last, reason: null });
  return parts;
};
