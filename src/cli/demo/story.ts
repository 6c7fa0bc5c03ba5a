import { credentials, Metadata } from '@grpc/grpc-js';
import { EventServiceClient } from '../../gen/vmwarden/v1/event_service.js';
import { type Record, StepState } from '../../gen/vmwarden/v1/record.js';
import { ByteOrder, Capability, Initiator } from '../../gen/vmwarden/v1/system_event.js';
import { withDeadline } from '../../lib/with-deadline.js';
import { decodedJson } from '../../record/event-json.js';
import { systemEventFromProto } from '../../record/system-event-codec.js';
import { CAPTURES, type Capture } from './captures.js';
import { Follower } from './follower.js';
import type { DemoGuests } from './guests.js';

/** One event: how it came in, and what the journal and the guest itself say became of it. */
export interface Chapter {
  readonly vm: string;
  readonly cameIn: string;
  /** The journal's records of this VM from the event on. */
  readonly records: readonly Record[];
  /** What was seen from outside vmwarden, at the guest; empty: there is no guest. */
  readonly witness: string;
  /** From where to where `tookMs` was measured. */
  readonly span: string;
  /** Milliseconds; null: not measured. */
  readonly tookMs: number | null;
  /** What did not truly happen; empty: all did. */
  readonly complaints: readonly string[];
}

const EACH_MS = 15_000;

/** Makes it all happen against a running vmwarden, and tells what came of it. Rejects when something never came. */
export const tellStory = async (
  address: string,
  guests: DemoGuests,
): Promise<readonly Chapter[]> => {
  const client = new EventServiceClient(address, credentials.createInsecure());
  const journal = new Follower(client);
  try {
    for (const vm of ['web-1', 'batch-1']) {
      await journal.until(`${vm} is connected`, connected(vm), EACH_MS);
    }
    const rebootMs = await timed(async () => {
      guests.web.send('panic');
      await guests.web.booted(2, EACH_MS);
    });
    await journal.until('web-1 is restarted', step('web-1', 'restart'), EACH_MS);
    await guests.web.ping(EACH_MS);

    const offMs = await timed(async () => {
      guests.batch.send('powerOff');
      const exit = await withDeadline(EACH_MS, guests.batch.exited);
      if (exit === undefined) throw new Error('batch-1 has not ended');
    });
    await journal.until('batch-1 is powered off', step('batch-1', 'powerOff'), EACH_MS);

    const acked = new Map<string, Acked>();
    for (const capture of CAPTURES) {
      acked.set(capture.vm, await report(client, capture));
      await journal.until(`${capture.vm} is answered`, answered(capture.vm), EACH_MS);
    }
    const { code } = await guests.batch.exited;
    return [
      chapter('web-1', 'guest panic, over QMP', journal, {
        applied: ['dump', 'restart'],
        witness: `guest's boot byte seen again (${guests.web.boots()} boots), guest answers`,
        holds: guests.web.boots() === 2,
        span: 'panic to boot byte',
        tookMs: rebootMs,
      }),
      chapter('batch-1', 'guest power-off, over QMP', journal, {
        applied: ['powerOff'],
        witness: `its VMM process has ended, exit code ${code}`,
        holds: code === 0,
        span: 'asked to process gone',
        tookMs: offMs,
      }),
      ...CAPTURES.map((capture) => captureChapter(capture, acked.get(capture.vm), journal)),
    ];
  } finally {
    journal.close();
    client.close();
  }
};

interface Seen {
  readonly applied: readonly string[];
  readonly witness: string;
  readonly holds: boolean;
  readonly span: string;
  readonly tookMs: number;
}

const chapter = (vm: string, cameIn: string, journal: Follower, seen: Seen): Chapter => {
  const records = recordsOf(vm, journal);
  const complaints = seen.applied
    .filter(
      (verb) => !records.some((record) => step(vm, verb)(record)?.state === StepState.APPLIED),
    )
    .map((verb) => `${verb} was not applied`);
  if (!seen.holds) complaints.push(`not so: ${seen.witness}`);
  const { witness, span, tookMs } = seen;
  return { vm, cameIn, records, witness, span, tookMs, complaints };
};

/** What a reporter was told, and after how long. */
interface Acked {
  readonly sequence: bigint;
  readonly tookMs: number;
}

const captureChapter = (capture: Capture, acked: Acked | undefined, journal: Follower): Chapter => {
  const records = recordsOf(capture.vm, journal);
  const wire = records.flatMap(({ body }) =>
    body?.$case === 'event' ? [body.value.event] : [],
  )[0];
  const event = wire === undefined ? null : systemEventFromProto(wire);
  const got = event?.ok === true ? JSON.stringify(decodedJson(event.value)) : 'nothing';
  const wanted = JSON.stringify(capture.expect);
  return {
    vm: capture.vm,
    cameIn: `${capture.from}, over gRPC`,
    records,
    witness: acked === undefined ? '' : `acknowledged as durable: record ${acked.sequence}`,
    span: 'sent to acknowledged',
    tookMs: acked?.tookMs ?? null,
    complaints: got === wanted ? [] : [`normalized to ${got}, not ${wanted}`],
  };
};

const recordsOf = (vm: string, journal: Follower): readonly Record[] => {
  const own = journal.records.filter(({ vmId }) => vmId === vm);
  return own.slice(
    Math.max(
      0,
      own.findIndex(({ body }) => body?.$case === 'event'),
    ),
  );
};

const connected = (vm: string) => (record: Record) =>
  record.vmId === vm && record.body?.$case === 'vm' && record.body.value.state === 'running'
    ? record
    : null;

/** Decided, and what was decided has ended. */
const answered = (vm: string) => {
  let left: readonly string[] | null = null;
  return (record: Record): Record | null => {
    if (record.vmId !== vm) return null;
    if (record.body?.$case === 'decision') left = record.body.value.plan.map(({ verb }) => verb);
    left = left?.filter((verb) => step(vm, verb)(record) === null) ?? null;
    return left?.length === 0 ? record : null;
  };
};

/** The outcome of a step. */
const step = (vm: string, verb: string) => (record: Record) => {
  if (record.vmId !== vm || record.body?.$case !== 'step') return null;
  const { value } = record.body;
  const under = value.state === StepState.STARTED || value.state === StepState.PROGRESS;
  return value.verb === verb && !under ? value : null;
};

const timed = async (act: () => Promise<void>): Promise<number> => {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
};

const report = (client: EventServiceClient, capture: Capture): Promise<Acked> =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now();
    client.reportEvent(
      {
        vmId: capture.vm,
        vmUid: '',
        raw: {
          arch: capture.arch,
          abi: '',
          capability: capture.capability === 1 ? Capability.PRESENT : Capability.ABSENT,
          capabilityNumber: 215,
          form: {
            $case: 'bytes',
            value: { record: Buffer.from(capture.hex, 'hex'), byteOrder: ByteOrder.LITTLE },
          },
        },
        requestId: `demo-${capture.vm}`,
        sourceSequence: undefined,
        bootId: 'demo',
        occurredAt: new Date(),
        initiator: Initiator.GUEST,
      },
      new Metadata(),
      { deadline: Date.now() + EACH_MS },
      (error, response) => {
        if (error !== null) reject(error);
        else resolve({ sequence: response.sequence, tookMs: performance.now() - startedMs });
      },
    );
  });
