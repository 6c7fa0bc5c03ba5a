import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Metadata } from '@grpc/grpc-js';
import { type Command, InvalidArgumentError } from 'commander';
import {
  EventServiceClient,
  ReportEventRequest,
  type ReportEventResponse,
} from '../gen/vmwarden/v1/event_service.js';
import { Disposition, Record } from '../gen/vmwarden/v1/record.js';
import { Initiator, type RawEvent } from '../gen/vmwarden/v1/system_event.js';
import { isFault } from '../lib/fault.js';
import { eventJson } from '../record/event-json.js';
import { systemEventFromProto } from '../record/system-event-codec.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { describeFault } from './describe-fault.js';
import { call, deadline, withClient } from './grpc-client.js';
import { FAILED, GOOD, type Io, printJson, printLine, WRONG_USE } from './io.js';
import { plainText } from './plain-text.js';
import { recordText } from './record-text.js';
import { rawOf, reportInput } from './report-input.js';

export interface ReportOptions {
  readonly vm: string;
  readonly uid?: string;
  readonly bootId?: string;
  readonly initiator?: Initiator;
  /** With `--file` each line's number is put behind it. */
  readonly requestId?: string;
  readonly arch?: string;
  readonly abi?: string;
  readonly endian?: 'little' | 'big';
  readonly cap?: number;
  readonly hex?: string;
  /** JSON lines; `-`: stdin. */
  readonly file?: string;
  readonly json?: boolean;
}

/** Reports one event, or each line of a file in order. 1 when one was not taken; the others are reported all the same. */
export const report = async (io: Io, socket: string, options: ReportOptions): Promise<number> => {
  const { hex, file } = options;
  if ((hex === undefined) === (file === undefined)) {
    await printLine(io.stderr, 'vmwarden report: give either --hex or --file');
    return WRONG_USE;
  }
  return withClient(EventServiceClient, socket, async (client) => {
    if (hex !== undefined) {
      const raw = rawOf({ ...options, capSystemEventData: options.cap, rawHex: hex });
      return send(io, client, options, raw, options.requestId ?? '', null);
    }
    let code = GOOD;
    for await (const { text, number } of lines(io, file ?? '')) {
      const input = reportInput(text);
      if (input.kind === 'problem') {
        await tellProblem(io, options, number, input.reason, input.message);
        if (input.reason === 'BAD_INPUT') code = FAILED;
        continue;
      }
      const id = options.requestId === undefined ? '' : `${options.requestId}-${number}`;
      if ((await send(io, client, options, input.raw, id, number)) !== GOOD) code = FAILED;
    }
    return code;
  });
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
    raw,
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

async function* lines(
  io: Io,
  file: string,
): AsyncGenerator<{ readonly text: string; readonly number: number }> {
  const input = file === '-' ? io.stdin : createReadStream(file);
  let number = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    if (text.trim() !== '') yield { text, number };
  }
}

/** Adds `vmwarden report`. */
export const addReportCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('report')
      .description('report raw events to a running vmwarden')
      .requiredOption('--vm <ID>', 'the VM that it happened to')
      .option('--uid <UID>', 'tells a recreated VM of the same name from its forerunner')
      .option('--boot-id <ID>', 'what the reporter calls this boot of the guest')
      .option('--initiator <WHO>', 'guest, host, operator or unknown', initiatorOf)
      .option('--request-id <ID>', 'a repeat with the same id gets the first answer')
      .option('--hex <HEX>', 'the record from byte 0 of system_event on', hexOf)
      .option('--arch <NAME>', 'with --hex: architecture of the host: x86_64, arm64, riscv64, ...')
      .option('--abi <NAME>', 'with --hex: how the VMM was compiled: lp64, ilp32, i386')
      .option('--endian <ORDER>', 'with --hex: little or big', endianOf)
      .option('--cap <ANSWER>', 'with --hex: what KVM_CHECK_EXTENSION(215) answered', capOf)
      .option('--file <FILE>', 'JSON lines as `decode` reads them; "-" for standard input')
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  ).action(async (flags: ConfigFlags & ReportOptions) => {
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

const hexOf = (text: string): string => {
  const digits = text.replace(/^0x/i, '').replaceAll(/[\s:]/g, '');
  if (/^(?:[0-9a-f]{2})*$/i.test(digits)) return digits;
  throw new InvalidArgumentError('Expected an even number of hexadecimal digits.');
};

const endianOf = (text: string): 'little' | 'big' => {
  if (text === 'little' || text === 'big') return text;
  throw new InvalidArgumentError('Expected little or big.');
};

const capOf = (text: string): number => {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
};
