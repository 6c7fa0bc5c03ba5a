import { Readable, Writable } from 'node:stream';
import fc from 'fast-check';
import { test } from 'vitest';
import { decode } from '../../src/cli/decode.js';
import { decodeLine } from '../../src/cli/decode-line.js';
import { eventView, problemView } from '../../src/cli/decode-view.js';
import { normalize } from '../../src/event/normalize.js';
import type { RawEvent } from '../../src/event/raw-event.js';
import { SystemEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import { eventJson } from '../../src/record/event-json.js';
import { problemFault } from '../../src/record/raw-event-codec.js';
import { systemEventToProto } from '../../src/record/system-event-codec.js';
import { byteOrder, context, FUZZ_TIMEOUT, fuzz, packed, word } from '../event/raw-arbitrary.js';
import { tracesIn, tracesOf } from '../event/traces.js';

/** What an earlier exit left of the guest's memory. */
const MARKER = Buffer.from('S3CR3TK3', 'latin1');
const TRACES = tracesOf(MARKER);

const plain = {
  strong: (text: string) => text,
  faint: (text: string) => text,
  warning: (text: string) => text,
};

/** Every form in which an event or a problem leaves vmwarden. */
const outputs = (raw: RawEvent, line: string): readonly (string | Uint8Array)[] => {
  const answer = normalize(raw);
  const lines = [line, line.slice(0, -1), line.slice(1), line.replace('"', '')].flatMap((text) => [
    decodeLine({ number: 1, text }, true).text,
    decodeLine({ number: 1, text }, false).text,
  ]);
  if (!answer.ok) {
    const fault = problemFault(answer.problem);
    return [...lines, problemView(answer.problem), fault.message, JSON.stringify(fault.detail)];
  }
  const message = systemEventToProto(answer.event);
  return [
    ...lines,
    JSON.stringify(eventJson(answer.event)),
    SystemEvent.encode(message).finish(),
    JSON.stringify(SystemEvent.toJSON(message)),
    eventView(answer.event, plain),
  ];
};

const leak = (raw: RawEvent, line: string): boolean =>
  outputs(raw, line).some((output) => tracesIn(output, TRACES).length > 0);

test(
  'guest memory behind the words never leaves: not in an event, a message, JSON, a view or an error',
  () => {
    const harmless = word.filter((value) => !`${value}`.includes('3'));
    fc.assert(
      fc.property(
        context,
        fc.integer({ min: 0, max: 9 }),
        fc.integer({ min: 0, max: 4 }),
        fc.array(harmless, { maxLength: 5 }),
        byteOrder,
        fc.integer({ min: 0, max: 7 }),
        (shared, type, ndata, words, order, shift) => {
          const arch = shared.arch === '' ? 'x86_64' : shared.arch;
          const known =
            shared.capability === 'present' ? 8 + 8 * ndata : arch.includes('86') ? 4 : 16;
          const head = packed(type, ndata, [...words, 0n, 0n, 0n, 0n].slice(0, 5), order);
          const record = new Uint8Array(152);
          for (let at = 0; at < record.length; at += 1) {
            record[at] = at < known ? (head[at] ?? 0) : (MARKER[(at + shift) % 8] ?? 0);
          }
          const raw: RawEvent = { ...shared, arch, form: 'bytes', byteOrder: order, record };
          const line = JSON.stringify({
            arch,
            endian: order,
            capSystemEventData: { present: 1, absent: 0, notStated: null }[shared.capability],
            rawHex: Buffer.from(record).toString('hex'),
          });
          return !leak(raw, line);
        },
      ),
      { ...fuzz, numRuns: Math.ceil(fuzz.numRuns / 10) },
    );
  },
  FUZZ_TIMEOUT,
);

test(
  'nor does what fields carry behind the words, whatever of ndata and flags is stated',
  () => {
    const left = MARKER.readBigUInt64LE();
    fc.assert(
      fc.property(
        context,
        fc.integer({ min: 0, max: 9 }),
        fc.option(fc.integer({ min: 0, max: 18 }), { freq: 2 }),
        fc.boolean(),
        (shared, type, ndata, hasFlags) => {
          const legacy = shared.capability !== 'present' && [1, 2, 4, 5].includes(type);
          // Words that the kernel may have written; all others are what an earlier exit left.
          const said = shared.capability === 'present' ? Math.min(ndata ?? 0, 16) : legacy ? 1 : 0;
          const data = Array.from({ length: 16 }, (_, index) => (index < said ? 1n : left));
          const flags = hasFlags ? (said > 0 ? 1n : left) : null;
          return !leak({ ...shared, form: 'fields', type, ndata, data, flags }, '{}');
        },
      ),
      { ...fuzz, numRuns: Math.ceil(fuzz.numRuns / 10) },
    );
  },
  FUZZ_TIMEOUT,
);

test('the traces that are looked for are those that a leak would leave', async () => {
  const record = packed(8, 1, [MARKER.readBigUInt64LE()], 'little');
  let printed = '';
  const sink = new Writable({
    write: (chunk, _, done) => {
      printed += String(chunk);
      done();
    },
  });
  const streams = { stdin: Readable.from([]), stdout: sink, stderr: sink };
  const hex = Buffer.from(record).toString('hex');
  await decode(streams, [hex], { arch: 'x86_64', cap: '1' });
  if (tracesIn(printed, TRACES).length === 0) {
    throw new Error(`a word that may be shown was not found in ${printed}`);
  }
});
