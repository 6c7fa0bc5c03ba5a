import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';
import type { Command } from 'commander';
import { normalize } from '../event/normalize.js';
import { decodedJson } from '../record/event-json.js';
import { HEX_EXPECTED, pastedBytes, rawRecord, withoutArguments } from './decode-input.js';
import { problemJson } from './decode-line.js';
import { decodeStream } from './decode-stream.js';
import { eventView, problemView, type Style } from './decode-view.js';

export interface DecodeStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
}

export interface DecodeOptions {
  readonly arch?: string;
  readonly endian?: string;
  readonly cap?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/**
 * `vmwarden decode`. Without HEX it reads JSON lines from stdin (see decodeStream for its exit codes); with HEX it explains
 * one record: 0 understood, 1 not understood, 2 wrong use.
 */
export const decode = async (
  streams: DecodeStreams,
  words: readonly string[],
  options: DecodeOptions,
): Promise<number> => {
  const { stdin, stdout, stderr } = streams;
  const wrongUse = (message: string): number => {
    stderr.write(`vmwarden decode: ${message}\n`);
    return 2;
  };
  const { arch, endian, cap } = options;
  if (words.length === 0) {
    if (arch !== undefined || endian !== undefined || cap !== undefined) {
      return wrongUse('HEX is missing; on stdin each line states its own arch, endian and cap');
    }
    if (stdin.isTTY === true) {
      return wrongUse('give HEX with --arch and --cap, or JSON lines on stdin');
    }
    return decodeStream(stdin, stdout, options.verbose === true);
  }
  const record = pastedBytes(words.join(''));
  if (record === null) return wrongUse(`HEX is not ${HEX_EXPECTED}`);
  if (cap !== undefined && !/^-?\d{1,9}$/.test(cap)) {
    return wrongUse('--cap is not a whole number: the answer of KVM_CHECK_EXTENSION(215)');
  }
  if (endian !== undefined && endian !== 'little' && endian !== 'big') {
    return wrongUse('--endian is neither little nor big');
  }
  const capSystemEventData = cap === undefined ? null : Number(cap);
  const normalized = normalize(rawRecord({ arch, endian, capSystemEventData, record }));
  if (options.json === true) {
    const output = normalized.ok
      ? decodedJson(normalized.event)
      : problemJson(normalized.problem, options.verbose === true);
    stdout.write(`${JSON.stringify(output)}\n`);
  } else if (normalized.ok) {
    stdout.write(eventView(normalized.event, styleOf(stdout)));
  } else {
    stderr.write(problemView(normalized.problem));
  }
  return normalized.ok ? 0 : 1;
};

/** Colours only for a person: on a terminal, unless NO_COLOR says otherwise. */
const styleOf = (stdout: DecodeStreams['stdout']): Style => {
  const coloured = stdout.isTTY === true && !process.env['NO_COLOR'];
  const style =
    (format: 'bold' | 'dim' | 'yellow') =>
    (text: string): string =>
      coloured ? styleText(format, text, { validateStream: false }) : text;
  return { strong: style('bold'), faint: style('dim'), warning: style('yellow') };
};

/** Adds `vmwarden decode`. */
export const addDecodeCommand = (program: Command): void => {
  withoutArguments(program.command('decode'))
    .description('explain a raw event, or decode JSON lines from stdin')
    .argument('[hex...]', 'the record from byte 0 of system_event on')
    .option('--arch <name>', 'architecture of the host: x86_64, arm64, riscv64, ...')
    .option('--endian <order>', 'little or big; default: the usual order of the architecture')
    .option('--cap <answer>', 'what KVM_CHECK_EXTENSION(215) answered; default: not stated')
    .option('--json', 'one JSON object a line (always so for lines from stdin)')
    .option('--verbose', 'add field, value, expected and advice to errors in JSON')
    .action(async (words: readonly string[], options: DecodeOptions) => {
      process.exitCode = await decode(process, words, options);
    });
};
