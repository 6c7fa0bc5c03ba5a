import type { Command } from 'commander';
import { type ByteOrder, findArch } from '../event/arch.js';
import type { RawBytes, RawContext } from '../event/raw-event.js';
import type { Capability } from '../event/system-event.js';

/** KVM_EXIT_SYSTEM_EVENT. */
const SYSTEM_EVENT_EXIT = 24;

/** A record of `decode` or `report`, from a line or from the command line. */
export interface RecordInput {
  readonly arch?: string | null | undefined;
  /** Absent: the architecture's usual one. */
  readonly endian?: ByteOrder | null | undefined;
  /** What KVM_CHECK_EXTENSION(215) answered; absent: not stated. */
  readonly capSystemEventData?: number | null | undefined;
  /** The record from byte 0 of system_event on. */
  readonly record: Uint8Array;
}

export type LineInput =
  | { readonly kind: 'raw'; readonly raw: RawContext & RawBytes }
  | { readonly kind: 'otherExit'; readonly exitReason: number }
  /** `field` null: the line is no JSON object. */
  | { readonly kind: 'bad'; readonly field: string | null; readonly expected: string };

export const OTHER_EXIT_EXPECTED = `${SYSTEM_EVENT_EXIT}, KVM_EXIT_SYSTEM_EVENT`;

/**
 * One line of JSON: `{"arch", "endian"?, "capSystemEventData"?, "rawHex", "exitReason"?}`; other keys are ignored. Says
 * what was expected and never what stood there: that may be guest memory, and what a JSON parser quotes of a
 * broken line, too.
 */
export const lineInput = (text: string): LineInput => {
  const line = parseObject(text);
  if (line === null) return NO_OBJECT;
  const { exitReason } = line;
  if (!isWholeOrAbsent(exitReason)) return badField('exitReason');
  if (typeof exitReason === 'number' && exitReason !== SYSTEM_EVENT_EXIT) {
    return { kind: 'otherExit', exitReason };
  }
  const { arch, endian, capSystemEventData, rawHex } = line;
  if (!isTextOrAbsent(arch)) return badField('arch');
  if (!isOrderOrAbsent(endian)) return badField('endian');
  if (!isWholeOrAbsent(capSystemEventData)) return badField('capSystemEventData');
  const record = typeof rawHex === 'string' ? hexBytes(rawHex) : null;
  if (record === null) return badField('rawHex');
  return { kind: 'raw', raw: rawRecord({ arch, endian, capSystemEventData, record }) };
};

/** What `normalize` takes. */
export const rawRecord = ({
  arch,
  endian,
  capSystemEventData,
  record,
}: RecordInput): RawContext & RawBytes => ({
  form: 'bytes',
  record,
  arch: arch ?? '',
  byteOrder: endian ?? findArch(arch ?? '')?.byteOrder ?? null,
  capability: capabilityOf(capSystemEventData ?? null),
  capabilityNumber: null,
});

/** A record as a person pastes it: with 0x in front, in pieces or with colons. null: no whole number of bytes. */
export const pastedBytes = (text: string): Uint8Array | null =>
  hexBytes(text.replace(/^0x/i, '').replaceAll(/[\s:]/g, ''));

export const HEX_EXPECTED = 'an even number of hexadecimal digits';

/** Keeps records out of what commander says of wrong use: it quotes arguments, and one may be a mistyped record. */
export const withoutArguments = (command: Command): Command =>
  command.configureOutput({
    outputError: (text, write) =>
      write(text.replace(/(?<==)[^']+(?=')|(?<=')[^'<]{17,}(?=')/g, '...')),
  });

const hexBytes = (digits: string): Uint8Array | null =>
  digits.length % 2 === 0 && /^[0-9a-f]*$/i.test(digits) ? Buffer.from(digits, 'hex') : null;

/** A negative answer is an error of the ioctl: the kernel does not know the number. */
const capabilityOf = (answer: number | null): Capability => {
  if (answer === null) return 'notStated';
  return answer > 0 ? 'present' : 'absent';
};

type BadLine = Extract<LineInput, { kind: 'bad' }>;

const NO_OBJECT: BadLine = { kind: 'bad', field: null, expected: 'a JSON object on one line' };

const EXPECTED = {
  arch: 'text: x86_64, arm64, riscv64, ...',
  endian: '"little" or "big", or absent for the usual order of the architecture',
  capSystemEventData: 'what KVM_CHECK_EXTENSION(215) answered, a whole number, or null',
  rawHex: `the record as ${HEX_EXPECTED}`,
  exitReason: `a whole number, of which ${SYSTEM_EVENT_EXIT} is a system event, or null`,
} as const;

const badField = (field: keyof typeof EXPECTED): BadLine => ({
  kind: 'bad',
  field,
  expected: EXPECTED[field],
});

const OBJECT_START = /^\s*\{\s*["}]/;
const isObjectEnd = (text: string): boolean => text.endsWith('}') || text.trimEnd().endsWith('}');

const parseObject = (text: string): { readonly [key: string]: unknown } | null => {
  // A line that JSON.parse throws at costs fifty times as much as one that it takes: most garbage ends here.
  if (!OBJECT_START.test(text) || !isObjectEnd(text)) return null;
  try {
    return JSON.parse(text) as { readonly [key: string]: unknown };
  } catch {
    return null;
  }
};

const isWholeOrAbsent = (value: unknown): value is number | null | undefined =>
  value === undefined || value === null || Number.isSafeInteger(value);

const isTextOrAbsent = (value: unknown): value is string | null | undefined =>
  value === undefined || value === null || typeof value === 'string';

const isOrderOrAbsent = (value: unknown): value is ByteOrder | null | undefined =>
  value === undefined || value === null || value === 'little' || value === 'big';
