import * as z from 'zod';
import { findArch } from '../event/arch.js';
import { ByteOrder, Capability, type RawEvent } from '../gen/vmwarden/v1/system_event.js';

/** KVM_EXIT_SYSTEM_EVENT. */
const SYSTEM_EVENT_EXIT = 24;

const Input = z.object({
  arch: z.string().nullish(),
  abi: z.string().nullish(),
  endian: z.enum(['little', 'big']).nullish(),
  capSystemEventData: z.int().nullish(),
  rawHex: z.string().regex(/^(?:[0-9a-f]{2})*$/i),
  exitReason: z.number().nullish(),
});

export type RawInput = Omit<z.output<typeof Input>, 'exitReason'>;

export type ReportInput =
  | { readonly kind: 'raw'; readonly raw: RawEvent }
  | { readonly kind: 'problem'; readonly reason: string; readonly message: string };

/** One line in the form that `decode` reads. What is wrong is told by field; bytes of the record are never repeated. */
export const reportInput = (line: string): ReportInput => {
  const parsed = Input.safeParse(parseJson(line));
  if (!parsed.success) {
    const field = String(parsed.error.issues[0]?.path[0] ?? '');
    const message = EXPECTED[field] ?? 'expected a JSON object on one line';
    return { kind: 'problem', reason: 'BAD_INPUT', message };
  }
  const { exitReason } = parsed.data;
  if (typeof exitReason === 'number' && exitReason !== SYSTEM_EVENT_EXIT) {
    const message = `exitReason is ${exitReason}, expected ${SYSTEM_EVENT_EXIT}`;
    return { kind: 'problem', reason: 'NOT_A_SYSTEM_EVENT', message };
  }
  return { kind: 'raw', raw: rawOf(parsed.data) };
};

/** `endian` absent: the architecture's usual order. */
export const rawOf = ({ arch, abi, endian, capSystemEventData, rawHex }: RawInput): RawEvent => ({
  arch: arch ?? '',
  abi: abi ?? '',
  capability: capabilityOf(capSystemEventData ?? null),
  capabilityNumber: 0,
  form: {
    $case: 'bytes',
    value: {
      record: Buffer.from(rawHex, 'hex'),
      byteOrder: ORDERS[endian ?? findArch(arch ?? '')?.byteOrder ?? 'none'],
    },
  },
});

const ORDERS = {
  little: ByteOrder.LITTLE,
  big: ByteOrder.BIG,
  none: ByteOrder.UNSPECIFIED,
} as const;

/** A negative answer is an error of the ioctl: the kernel does not know the number. */
const capabilityOf = (answer: number | null): Capability => {
  if (answer === null) return Capability.UNSPECIFIED;
  return answer > 0 ? Capability.PRESENT : Capability.ABSENT;
};

const EXPECTED: Readonly<Record<string, string>> = {
  arch: 'arch: expected text, such as x86_64, arm64 or riscv64',
  abi: 'abi: expected text: lp64, ilp32 or i386',
  endian: 'endian: expected "little" or "big"',
  capSystemEventData: 'capSystemEventData: expected a whole number or null',
  rawHex: 'rawHex: expected an even number of hexadecimal digits',
  exitReason: 'exitReason: expected a number',
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
