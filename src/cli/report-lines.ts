import {
  type EventServiceClient,
  ReportEventRequest,
  type ReportEventResponse,
  type ReportResult,
} from '../gen/vmwarden/v1/event_service.js';
import { Fault, isFault } from '../lib/fault.js';
import { lineInput, OTHER_EXIT_EXPECTED } from './decode-input.js';
import { LINE_EXPECTED, type Line, linesOf } from './decode-lines.js';
import { faultOfStatus } from './grpc-client.js';
import { FAILED, GOOD, type Io } from './io.js';
import { type ReportOptions, requestOf } from './report-request.js';
import { openReportStream, type ReportStream } from './report-stream.js';
import { tellFault, tellProblem, tellResponse } from './report-text.js';

/**
 * All lines are of one VM, of whose reports the server folds at most 64 above its rate and refuses further ones until
 * those are journaled: so many are under way at the most.
 */
const BATCH_REPORTS = 32;
const BATCHES_UNDER_WAY = 2;
/** The server takes 256 KiB; a report has at most a line's half. */
const BATCH_BYTES = 128 * 1024;

/** What becomes of a line, in order of the lines. */
type Entry =
  | { readonly kind: 'report'; readonly line: number; readonly request: ReportEventRequest }
  | {
      readonly kind: 'problem';
      readonly line: number;
      readonly reason: string;
      readonly message: string;
      /** What the command ends with; a record of another exit is no failure. */
      readonly code: number;
    };

/**
 * Reports each line in order, in batches; what has been read is not kept waiting for more. 1 when a line was not taken.
 * Rejects with the Fault that ends the stream: further lines would get the same answer.
 */
export const reportLines = async (
  io: Io,
  client: EventServiceClient,
  options: ReportOptions,
  input: AsyncIterable<Buffer | string>,
): Promise<number> => {
  const stream = openReportStream(client);
  const batches = new Batches(io, options, stream);
  try {
    for await (const lines of linesOf(input)) {
      for (const line of lines) await batches.add(entryOf(options, line));
      await batches.flush();
    }
  } finally {
    stream.close();
  }
  return batches.code;
};

interface Sent {
  readonly entries: readonly Entry[];
  readonly acked: Promise<readonly Answer[]> | readonly Answer[];
}

class Batches {
  readonly #io: Io;
  readonly #options: ReportOptions;
  readonly #stream: ReportStream;
  readonly #underWay: Sent[] = [];
  #entries: Entry[] = [];
  #reports = 0;
  #bytes = 0;
  /** Why nothing further is sent; null: it is. */
  #last: Fault | null = null;
  code = GOOD;

  constructor(io: Io, options: ReportOptions, stream: ReportStream) {
    this.#io = io;
    this.#options = options;
    this.#stream = stream;
  }

  /** Waits as long as too much is under way. */
  async add(entry: Entry): Promise<void> {
    this.#entries.push(entry);
    if (entry.kind === 'report') {
      this.#reports += 1;
      this.#bytes += ReportEventRequest.encode(entry.request).finish().length;
    }
    const full = this.#reports >= BATCH_REPORTS || this.#bytes >= BATCH_BYTES;
    // Lines without a report are told as soon, but never held without a bound.
    if (full || this.#entries.length >= BATCH_REPORTS) await this.#send();
  }

  /** Resolves when all that was added is told. */
  async flush(): Promise<void> {
    await this.#send();
    while (this.#underWay.length > 0) await this.#tellFirst();
  }

  async #send(): Promise<void> {
    const entries = this.#entries;
    if (entries.length === 0) return;
    this.#entries = [];
    this.#reports = 0;
    this.#bytes = 0;
    const reports = entries.flatMap((entry) => (entry.kind === 'report' ? [entry.request] : []));
    const acked = reports.length === 0 ? [] : answersOf(this.#stream.send(reports), reports.length);
    this.#underWay.push({ entries, acked });
    if (this.#underWay.length >= BATCHES_UNDER_WAY) await this.#tellFirst();
  }

  async #tellFirst(): Promise<void> {
    const sent = this.#underWay.shift();
    if (sent === undefined) return;
    const answers = await sent.acked;
    let next = 0;
    for (const entry of sent.entries) {
      if (entry.kind === 'report') {
        const answer = answers[next] ?? UNANSWERED;
        next += 1;
        await this.#tell(entry.line, answer);
      } else {
        const { line, reason, message, code } = entry;
        await tellProblem(this.#io, this.#options, line, reason, message);
        if (code !== GOOD) this.code = code;
      }
    }
    if (this.#last === null) return;
    // What else was sent may have been taken or not: each line gets its answer before the end.
    while (this.#underWay.length > 0) await this.#tellFirst();
    throw this.#last;
  }

  async #tell(line: number, answer: Answer): Promise<void> {
    if (!isFault(answer)) return tellResponse(this.#io, this.#options, line, answer);
    this.code = FAILED;
    await tellFault(this.#io, this.#options, line, answer);
    // Further lines would wait for the same answer.
    if (answer.code === 'UNAVAILABLE' || answer === this.#stream.ended()) this.#last ??= answer;
  }
}

type Answer = ReportEventResponse | Fault;

const UNANSWERED = new Fault('INTERNAL', 'CLIENT_FAILED', 'The ack has no result for it');

const answerOf = ({ result }: ReportResult): Answer => {
  switch (result?.$case) {
    case 'response':
      return result.value;
    case 'error':
      return faultOfStatus(result.value);
    case undefined:
      return UNANSWERED;
  }
};

/** What is wrong with a batch is wrong with each of its reports. */
const answersOf = async (
  acked: Promise<readonly ReportResult[]>,
  reports: number,
): Promise<readonly Answer[]> => {
  try {
    return (await acked).map(answerOf);
  } catch (error) {
    if (!isFault(error)) throw error;
    return Array.from({ length: reports }, () => error);
  }
};

const entryOf = (options: ReportOptions, { number: line, text }: Line): Entry => {
  const problem = (reason: string, message: string, code = FAILED): Entry => ({
    kind: 'problem',
    line,
    reason,
    message,
    code,
  });
  if (text === null) return problem('BAD_INPUT', `expected ${LINE_EXPECTED}`);
  const input = lineInput(text);
  switch (input.kind) {
    case 'bad': {
      const field = input.field === null ? '' : `${input.field}: `;
      return problem('BAD_INPUT', `${field}expected ${input.expected}`);
    }
    case 'otherExit': {
      const message = `exitReason is ${input.exitReason}, expected ${OTHER_EXIT_EXPECTED}`;
      return problem('NOT_A_SYSTEM_EVENT', message, GOOD);
    }
    case 'raw': {
      const { requestId } = options;
      const id = requestId === undefined ? '' : `${requestId}-${line}`;
      return { kind: 'report', line, request: requestOf(options, input.raw, id) };
    }
  }
};
