import { readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addDecodeCommand, decode } from '../../src/cli/decode.js';
import { ANOMALIES, ANOMALY_NOTES } from '../../src/event/anomaly.js';
import { KERNEL_EVENTS } from '../../src/event/kernel-events.js';
import { normalize } from '../../src/event/normalize.js';
import { RawEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import { decodedJson } from '../../src/record/event-json.js';
import { problemFault, rawEventFromProto } from '../../src/record/raw-event-codec.js';

// Every example of docs/system-events.md is run, and its tables are those of the code.

const page = readFileSync('docs/system-events.md', 'utf8');
const blocks = [...page.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(
  ([, kind = '', text = '']) => ({
    kind,
    text,
  }),
);

describe('commands', () => {
  const commands = blocks
    .filter(({ kind }) => kind === 'console')
    .flatMap(({ text }) => text.split(/^\$ /m).slice(1))
    .map((example) => {
      const end = example.indexOf('\n');
      return { line: example.slice(0, end), output: example.slice(end + 1) };
    });

  test('are there', () => {
    expect(commands.length).toBeGreaterThan(8);
  });

  test.each(commands)('$line', async ({ line, output }) => {
    const [, input = '', args = ''] =
      /^(?:echo '(.*)' \| )?vmwarden decode ?(.*)$/.exec(line) ?? expect.fail('no such command');
    expect(await printed(input, args.split(' ').filter(Boolean))).toBe(output);
  });
});

const printed = async (input: string, args: readonly string[]): Promise<string> => {
  let text = '';
  const stdout = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk);
      done();
    },
  });
  const streams = { stdin: Readable.from([Buffer.from(input)]), stdout, stderr: stdout };
  const program = new Command().exitOverride();
  addDecodeCommand(program);
  const [command] = program.commands;
  command?.action(async (words: string[], options: object) => {
    await decode(streams, words, options);
  });
  await program.parseAsync(['decode', ...args], { from: 'user' });
  return text;
};

describe('raw events', () => {
  const pairs = blocks
    .filter(({ kind }) => kind.startsWith('json '))
    .map(({ kind, text }) => ({ kind, value: JSON.parse(text) }));

  test('are each followed by what becomes of them', () => {
    expect(pairs.length).toBeGreaterThan(6);
    for (const [index, { kind }] of pairs.entries()) {
      expect(kind === 'json raw').toBe(index % 2 === 0);
    }
  });

  test.each(
    pairs.flatMap(({ value }, index) =>
      index % 2 === 0 ? [{ raw: value, answer: pairs[index + 1]?.value }] : [],
    ),
  )('$raw', ({ raw, answer }) => {
    const parsed = rawEventFromProto(RawEvent.fromJSON(raw));
    if (!parsed.ok) throw new Error(parsed.violations[0]?.field);
    const normalized = normalize(parsed.value);
    if (normalized.ok) {
      expect(decodedJson(normalized.event)).toEqual(answer);
    } else {
      const { reason, detail } = problemFault(normalized.problem);
      expect({ reason, ...detail.violations?.[0] }).toMatchObject(answer);
    }
  });
});

describe('tables', () => {
  test('anomalies', () => {
    for (const name of ANOMALIES) {
      const { says, implies } = ANOMALY_NOTES[name];
      expect(page).toContain(`| \`${name}\` | ${says} | ${implies} |`);
    }
  });

  test('types', () => {
    for (const { type, number, emittedBy } of KERNEL_EVENTS) {
      expect(page).toContain(`| \`${type}\` | ${number} | ${Object.keys(emittedBy).join(', ')} |`);
    }
  });
});
