import { Fault } from '../lib/fault.js';
import type { Sequence } from './journal.js';

/** The journal's own faults, one wording for every implementation. Foreign errors are translated elsewhere. */

export const rolledBack = (cause: Fault): Fault =>
  new Fault('ABORTED', 'JOURNAL_ROLLED_BACK', `A commit before this one failed: ${cause.message}`, {
    cause,
  });

export const closed = (): Fault =>
  new Fault('UNAVAILABLE', 'JOURNAL_CLOSED', 'The journal is closed.');

export const busy = (waitingBytes: number): Fault =>
  new Fault(
    'RESOURCE_EXHAUSTED',
    'JOURNAL_BUSY',
    `${waitingBytes} bytes already wait to become durable: the disk does not keep up.`,
    { retryAfterMs: 1000 },
  );

export const belowReserve = (freeBytes: number, reserveBytes: number): Fault =>
  new Fault('RESOURCE_EXHAUSTED', 'JOURNAL_FULL', belowReserveText(freeBytes, reserveBytes), {
    retryAfterMs: 10_000,
    metadata: { freeBytes: String(freeBytes), reserveBytes: String(reserveBytes) },
  });

export const belowReserveText = (freeBytes: number, reserveBytes: number): string =>
  `The file system of the journal has ${freeBytes} bytes free, below the reserve of ${reserveBytes}.`;

export const trimmed = (after: Sequence, oldest: Sequence): Fault =>
  new Fault(
    'OUT_OF_RANGE',
    'JOURNAL_TRIMMED',
    `Records behind ${after} were dropped: the oldest there is is ${oldest}.`,
    { metadata: { oldest: String(oldest) } },
  );

export const badInput = (field: string, value: string, expected: string): Fault =>
  new Fault(
    'INVALID_ARGUMENT',
    'JOURNAL_BAD_INPUT',
    `${field} is ${value}; expected ${expected}.`,
    {
      violations: [{ field, value, expected }],
    },
  );
