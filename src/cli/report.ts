import { createReadStream } from 'node:fs';
import { Metadata } from '@grpc/grpc-js';
import { type Command, InvalidArgumentError } from 'commander';
import type { RawEvent } from '../event/raw-event.js';
import {
  EventServiceClient,
  ReportEventRequest,
  type ReportEventResponse,
} from '../gen/vmwarden/v1/event_service.js';
import { Disposition, Record } from '../gen/vmwarden/v1/record.js';
import { Initiator } from '../gen/vmwarden/v1/system_event.js';
import { isFault } from '../lib/fault.js';
import { eventJson } from '../record/event-json.js';
import { rawEventToProto } from '../record/raw-event-codec.js';
import { systemEventFromProto } from '../record/system-event-codec.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import {
  HEX_EXPECTED,
  lineInput,
  OTHER_EXIT_EXPECTED,
  pastedBytes,
  rawRecord,
  withoutArguments,
} from './decode-input.js';
import { LINE_EXPECTED, type Line, linesOf } from './decode-lines.js';
import { describeFault } from './describe-fault.js';
import { call, deadline, withServing } from './grpc-client.js';
import { FAILED, GOOD, type Io, printJson, printLine, WRONG_USE } from './io.js';
import { plainText } from './plain-text.js';
import { recordText } from './record-text.js';

export interface ReportOptions {
  readonly vm: string;
  readonly uid?: string;
  readonly bootId?: string;
  readonly initiator?: Initiator;
  /** With `--file` each line's number is put behind it. */
  readonly requestId?: string;
  readonly arch?: string;
  readonly endian?: 'little' | 'big';
  readonly cap?: number;
  readonly hex?: string;
  /** JSON lines; `-`: stdin. */
  readonly file?: string;
  readonly json?: boolean;
}

/** Reports one event, or each line of a file in order. 1 when one was not taken; the others are reported all the same. */
export const report = async (io: Io, socket: string, options: ReportOptions): Promise<number> => {
  const source = sourceOf(options);
  if (source.kind === 'wrongUse') {
    await printLine(io.stderr, `vmwarden report: ${source.message}`);
    return WRONG_USE;
  }
  return withServing(EventServiceClient, socket, async (client) => {
    if (source.kind === 'record') {
      const { record } = source;
      const raw = rawRecord({ ...options, capSystemEventData: options.cap, record });
      return send(io, client, options, raw, options.requestId ?? '', null);
    }
    let code = GOOD;
    const input = source.file === '-' ? io.stdin : createReadStream(source.file);
    for await (const lines of linesOf(input)) {
      for (const line of lines) {
        if ((await sendLine(io, client, options, line)) !== GOOD) code = FAILED;
      }
    }
    return code;
  });
};

type Source =
  | { readonly kind: 'record'; readonly record: Uint8Array }
  | { readonly kind: 'lines'; readonly file: string }
  /** The message repeats nothing of a record: what is past ndata may be guest memory. */
  | { readonly kind: 'wrongUse'; readonly message: string };

const sourceOf = ({ hex, file }: ReportOptions): Source => {
  if (hex === undefined && file !== undefined) return { kind: 'lines', file };
  if (hex === undefined || file !== undefined) {
    return { kind: 'wrongUse', message: 'give either --hex or --file' };
  }
  const record = pastedBytes(hex);
  return record === null
    ? { kind: 'wrongUse', message: `--hex is not ${HEX_EXPECTED}` }
    : { kind: 'record', record };
};

const sendLine = async (
  io: Io,
  client: EventServiceClient,
  options: ReportOptions,
  { number, text }: Line,
): Promise<number> => {
  const bad = async (message: string): Promise<number> => {
    await tellProblem(io, options, number, 'BAD_INPUT', message);
    return FAILED;
  };
  if (text === null) return bad(`expected ${LINE_EXPECTED}`);
  const input = lineInput(text);
  switch (input.kind) {
    case 'bad':
      return bad(`${input.field === null ? '' : `${input.field}: `}expected ${input.expected}`);
    case 'otherExit': {
      const message = `exitReason is ${input.exitReason}, expected ${OTHER_EXIT_EXPECTED}`;
      await tellProblem(io, options, number, 'NOT_A_SYSTEM_EVENT', message);
      return GOOD;
    }
    case 'raw': {
      const id = options.requestId === undefined ? '' : `${options.requestId}-${number}`;
      return send(io, client, options, input.raw, id, number);
    }
  }
};

const send = async (
  io: Io,
  client: EventServiceClient,
  options: ReportOptions,
  raw: RawEvent,
  requestId: string,
  line: number | null,
): Promise<number> => {
  const request: ReportEventRequest = {
    ...ReportEventRequest.create(),
    vmId: options.vm,
    vmUid: options.uid ?? '',
    bootId: options.bootId ?? '',
    initiator: options.initiator ?? Initiator.UNSPECIFIED,
    requestId,
    raw: rawEventToProto(raw),
  };
  try {
    const response = await call<ReportEventResponse>((callback) =>
      client.reportEvent(request, new Metadata(), deadline(), callback),
    );
    if (options.json === true) await printJson(io.stdout, responseJson(line, response));
    else await printLine(io.stdout, plainText(responseText(options.vm, response)));
    return GOOD;
  } catch (error) {
    if (!isFault(error)) throw error;
    await tellProblem(io, options, line, error.reason, describeFault(error));
    // Further lines would wait for the same answer.
    if (error.code === 'UNAVAILABLE') throw error;
    return FAILED;
  }
};

const tellProblem = async (
  io: Io,
  { json = false }: ReportOptions,
  line: number | null,
  reason: string,
  message: string,
): Promise<void> => {
  if (json) return printJson(io.stdout, { ...(line !== null && { line }), error: reason, message });
  const place = line === null ? '' : `line ${line}: `;
  return printLine(io.stderr, `vmwarden report: ${place}${message}`);
};

const responseText = (
  vm: string,
  { sequence, event, disposition, repeat }: ReportEventResponse,
) => {
  const record = Record.fromPartial({ body: { $case: 'event', value: { event: event ?? {} } } });
  const [what = ''] = recordText(record).split(', from ');
  const was = repeat ? 'known already' : dispositionOf(disposition);
  return `${vm}: ${what}; record ${sequence}, ${was}`;
};

const responseJson = (line: number | null, response: ReportEventResponse) => {
  const parsed = response.event === undefined ? null : systemEventFromProto(response.event);
  return {
    ...(line !== null && { line }),
    journalId: response.journalId,
    sequence: Number(response.sequence),
    disposition: dispositionOf(response.disposition),
    repeat: response.repeat,
    event: parsed?.ok === true ? eventJson(parsed.value) : null,
  };
};

const dispositionOf = (disposition: Disposition): string =>
  (Disposition[disposition] ?? 'unknown').toLowerCase().replace('_', ' ');

/** Adds `vmwarden report`. */
export const addReportCommand = (program: Command): void => {
  addConfigOptions(
    withoutArguments(program.command('report'))
      .description('report raw events to a running vmwarden')
      .requiredOption('--vm <ID>', 'the VM that it happened to')
      .option('--uid <UID>', 'tells a recreated VM of the same name from its forerunner')
      .option('--boot-id <ID>', 'what the reporter calls this boot of the guest')
      .option('--initiator <WHO>', 'guest, host, operator or unknown', initiatorOf)
      .option('--request-id <ID>', 'a repeat with the same id gets the first answer')
      .option('--hex <HEX>', 'the record from byte 0 of system_event on')
      .option('--arch <NAME>', 'with --hex: architecture of the host: x86_64, arm64, riscv64, ...')
      .option('--endian <ORDER>', 'with --hex: little or big', endianOf)
      .option('--cap <ANSWER>', 'with --hex: what KVM_CHECK_EXTENSION(215) answered', capOf)
      .option('--file <FILE>', 'JSON lines as `decode` reads them; "-" for standard input')
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action(async (flags: ConfigFlags & ReportOptions, command: Command) => {
    const source = sourceOf(flags);
    if (source.kind === 'wrongUse') command.error(`error: ${source.message}`);
    const loaded = await configOrExit(flags, process);
    process.exitCode =
      typeof loaded === 'number' ? loaded : await report(process, loaded.config.socket, flags);
  });
};

const initiatorOf = (text: string): Initiator => {
  switch (text) {
    case 'guest':
      return Initiator.GUEST;
    case 'host':
      return Initiator.HOST;
    case 'operator':
      return Initiator.OPERATOR;
    case 'unknown':
      return Initiator.UNKNOWN;
    default:
      throw new InvalidArgumentError('Expected guest, host, operator or unknown.');
  }
};

const endianOf = (text: string): 'little' | 'big' => {
  if (text === 'little' || text === 'big') return text;
  throw new InvalidArgumentError('Expected little or big.');
};

const capOf = (text: string): number => {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
};
