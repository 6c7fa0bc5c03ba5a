import { createReadStream } from 'node:fs';
import { Metadata } from '@grpc/grpc-js';
import { type Command, InvalidArgumentError } from 'commander';
import type { RawEvent } from '../event/raw-event.js';
import { EventServiceClient, type ReportEventResponse } from '../gen/vmwarden/v1/event_service.js';
import { Initiator } from '../gen/vmwarden/v1/system_event.js';
import { isFault } from '../lib/fault.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { HEX_EXPECTED, pastedBytes, rawRecord, withoutArguments } from './decode-input.js';
import { call, deadline, withServing } from './grpc-client.js';
import { FAILED, GOOD, type Io, printLine, WRONG_USE } from './io.js';
import { reportLines } from './report-lines.js';
import { type ReportOptions, requestOf } from './report-request.js';
import { tellFault, tellResponse } from './report-text.js';

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
      return sendOne(io, client, options, raw);
    }
    const input = source.file === '-' ? io.stdin : createReadStream(source.file);
    return reportLines(io, client, options, input);
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

const sendOne = async (
  io: Io,
  client: EventServiceClient,
  options: ReportOptions,
  raw: RawEvent,
): Promise<number> => {
  const request = requestOf(options, raw, options.requestId ?? '');
  try {
    const response = await call<ReportEventResponse>((callback) =>
      client.reportEvent(request, new Metadata(), deadline(), callback),
    );
    await tellResponse(io, options, null, response);
    return GOOD;
  } catch (error) {
    if (!isFault(error)) throw error;
    await tellFault(io, options, null, error);
    if (error.code === 'UNAVAILABLE') throw error;
    return FAILED;
  }
};

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
