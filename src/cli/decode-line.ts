import * as z from 'zod';
import { findArch } from '../event/arch.js';
import { normalize } from '../event/normalize.js';
import type { Problem } from '../event/problem.js';
import type { RawEvent } from '../event/raw-event.js';
import type { Capability } from '../event/system-event.js';
import { decodedJson, type JsonObject } from '../record/event-json.js';

/** KVM_EXIT_SYSTEM_EVENT. */
const SYSTEM_EVENT_EXIT = 24;

/** What a record is read by. `byteOrder` null: the architecture's usual one. */
export interface DecodeContext {
  readonly arch: string;
  readonly abi: string;
  readonly byteOrder: 'little' | 'big' | null;
  /** What KVM_CHECK_EXTENSION(215) answered; null: not stated. */
  readonly capSystemEventData: number | null;
}

const Line = z.object({
  arch: z.string().nullish(),
  abi: z.string().nullish(),
  endian: z.enum(['little', 'big']).nullish(),
  capSystemEventData: z.int().nullish(),
  rawHex: z.string().regex(/^(?:[0-9a-f]{2})*$/i, 'an even number of hexadecimal digits'),
});

const EXPECTED: Readonly<Record<string, string>> = {
  arch: 'text: x86_64, arm64, riscv64, ...',
  abi: 'text: lp64, ilp32 or i386',
  endian: '"little" or "big", or absent for the usual order of the architecture',
  capSystemEventData: 'what KVM_CHECK_EXTENSION(215) answered, a whole number, or null',
  rawHex: 'the record as an even number of hexadecimal digits',
};

export interface LineAnswer {
  readonly output: JsonObject;
  /** False: the line is no input at all (BAD_INPUT). */
  readonly readable: boolean;
}

/**
 * One line of `vmwarden decode`. An answer never repeats a byte of the input but the words that the kernel wrote:
 * `rawHex` may hold guest memory, and what a JSON parser quotes of a broken line may be `rawHex`.
 */
export const decodeLine = (text: string, lineNumber: number, verbose: boolean): LineAnswer => {
  const value = parseObject(text);
  if (value === null) return badInput(lineNumber, null, 'a JSON object on one line');
  if (typeof value['exitReason'] === 'number' && value['exitReason'] !== SYSTEM_EVENT_EXIT) {
    return { output: { error: 'NOT_A_SYSTEM_EVENT' }, readable: true };
  }
  const line = Line.safeParse(value);
  if (!line.success) {
    const field = String(line.error.issues[0]?.path[0] ?? '');
    return badInput(lineNumber, field, EXPECTED[field] ?? 'a raw event');
  }
  const { arch, abi, endian, capSystemEventData, rawHex } = line.data;
  const context: DecodeContext = {
    arch: arch ?? '',
    abi: abi ?? '',
    byteOrder: endian ?? null,
    capSystemEventData: capSystemEventData ?? null,
  };
  const normalized = normalize(rawEvent(context, Buffer.from(rawHex, 'hex')));
  const output = normalized.ok
    ? decodedJson(normalized.event)
    : problemJson(normalized.problem, verbose);
  return { output, readable: true };
};

export const rawEvent = (context: DecodeContext, record: Uint8Array): RawEvent => ({
  form: 'bytes',
  record,
  arch: context.arch,
  abi: context.abi,
  byteOrder: context.byteOrder ?? findArch(context.arch)?.byteOrder ?? null,
  capability: capabilityOf(context.capSystemEventData),
  capabilityNumber: null,
});

/** A negative answer is an error of the ioctl: the kernel does not know the number. */
const capabilityOf = (answer: number | null): Capability => {
  if (answer === null) return 'notStated';
  return answer > 0 ? 'present' : 'absent';
};

export const problemJson = (problem: Problem, verbose: boolean): JsonObject => {
  const { code, value, expected, advice } = problem;
  const field = LINE_FIELDS[problem.field] ?? problem.field;
  return verbose ? { error: code, field, value, expected, advice } : { error: code };
};

/** What the fields of a raw event are called in a line. */
const LINE_FIELDS: Readonly<Record<string, string>> = {
  'bytes.record': 'rawHex',
  'bytes.byteOrder': 'endian',
};

const parseObject = (text: string): { readonly [key: string]: unknown } | null => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as { readonly [key: string]: unknown })
      : null;
  } catch {
    return null;
  }
};

export const badInput = (line: number, field: string | null, expected: string): LineAnswer => ({
  output: { error: 'BAD_INPUT', line, ...(field !== null && { field }), expected },
  readable: false,
});
