import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fault } from '../../src/lib/fault.js';
import { createLineWriter } from '../../src/telemetry/line-writer.js';
import { createLog, type LogOptions } from '../../src/telemetry/log.js';
import { privateFolder } from '../support/grpc-server.js';
import { waitFor } from '../support/wait-for.js';

const logTo = async (options: Partial<LogOptions> = {}) => {
  const file = join(await privateFolder(), 'log');
  const fd = openSync(file, 'w');
  onTestFinished(() => closeSync(fd));
  const log = await createLog({ level: 'info', format: 'auto', terminal: false, fd, ...options });
  return {
    log,
    text: async () => {
      await log.flush();
      return readFileSync(file, 'utf8');
    },
  };
};

const jsonOf = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('one JSON object a line when nobody looks, with its level, time and fields', async () => {
  const { log, text } = await logTo({ fields: { host: 'h' } });
  log.info({ vm: 'web-1', data: [255n], word: 2n ** 64n - 1n }, 'event');
  log.child({ part: 'journal' }).warn({}, 'slow');
  log.debug({}, 'not at this level');
  const [event, slow, ...more] = jsonOf(await text());
  expect(event).toMatchObject({
    level: 'info',
    host: 'h',
    vm: 'web-1',
    data: ['0xff'],
    word: '0xffffffffffffffff',
    message: 'event',
  });
  expect(Date.parse(String(event?.['time']))).not.toBeNaN();
  expect(slow).toMatchObject({ level: 'warn', part: 'journal', message: 'slow' });
  expect(more).toEqual([]);
});

test('a fault is its reason and message, another error keeps its stack', async () => {
  const { log, text } = await logTo();
  log.error({ error: new Fault('UNAVAILABLE', 'STOPPING', 'is stopping') }, 'a');
  log.error({ error: new TypeError('odd') }, 'b');
  const [fault, defect] = jsonOf(await text());
  expect(fault?.['error']).toEqual({ reason: 'STOPPING', message: 'is stopping' });
  expect(defect?.['error']).toMatchObject({
    message: 'odd',
    stack: expect.stringContaining('at '),
  });
});

test('text of a guest stays inside its line', async () => {
  const { log, text } = await logTo();
  log.info({ guest: 'a\n{"level":"fatal"}\u001b[2J' }, 'event');
  expect((await text()).trim().split('\n')).toHaveLength(1);
  const pretty = await logTo({ format: 'pretty' });
  pretty.log.info({ guest: 'a\nb\u001b[2J' }, 'event');
  expect((await pretty.text()).trim().split('\n')).toHaveLength(1);
  expect(await pretty.text()).not.toContain('\u001b[2J');
});

test('pretty for a person, in colour on a terminal alone', async () => {
  const terminal = await logTo({ terminal: true });
  terminal.log.info({ vm: 'web-1' }, 'event');
  expect(await terminal.text()).toContain('\u001b[');
  expect(await terminal.text()).toContain('event');
  const forced = await logTo({ format: 'pretty' });
  forced.log.info({ vm: 'web-1' }, 'event');
  expect(await forced.text()).toMatch(/INFO.*event.*web-1/);
  expect(await forced.text()).not.toContain('\u001b[');
});

test('a log that can not be written does not stop the program', async () => {
  const { log, text } = await logTo({ fd: openSync('/dev/full', 'w') });
  log.info({}, 'goes nowhere');
  let turns = 0;
  await waitFor('some turns of the event loop', () => ++turns > 5);
  expect(await text()).toBe('');
});

describe('createLineWriter', () => {
  test('a flush gives up on a reader that takes nothing, and holds nothing for it from then on', async () => {
    const fifo = join(await privateFolder(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(fd));
    const writer = createLineWriter(fd);
    writer.write('x'.repeat(1_000_000));
    await writer.flush();
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(reader));
    expect(readSync(reader, Buffer.alloc(200_000))).toBe(65_536);
    writer.write('too late');
    await writer.flush();
    // EAGAIN: nothing there.
    expect(() => readSync(reader, Buffer.alloc(1))).toThrow('EAGAIN');
  });

  test('writes every line, in order', async () => {
    const file = join(await privateFolder(), 'log');
    const fd = openSync(file, 'w');
    onTestFinished(() => closeSync(fd));
    const writer = createLineWriter(fd);
    const lines = Array.from({ length: 5000 }, (_, at) => `${at} ${'é'.repeat(at % 50)}\n`);
    for (const line of lines) writer.write(line);
    await waitFor('all of it', () => readFileSync(file, 'utf8') === lines.join(''));
  });

  test('drops what a reader that does not keep up leaves, and says how much', async () => {
    const fifo = join(await privateFolder(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => {
      closeSync(fd);
      closeSync(reader);
    });
    const max = 100_000;
    const writer = createLineWriter(fd, max);
    const line = `${'x'.repeat(99)}\n`;
    for (let at = 0; at < 10_000; at += 1) writer.write(line);

    let text = '';
    const read = (): boolean => {
      const chunk = Buffer.alloc(65_536);
      try {
        text += chunk.subarray(0, readSync(reader, chunk)).toString();
      } catch {
        // Nothing there at the moment.
      }
      return text.includes('dropped');
    };
    await waitFor('a line about the dropped ones', () => {
      writer.write(line);
      return read();
    });
    const said = /"dropped":(\d+)/.exec(text)?.[1];
    expect(Number(said)).toBeGreaterThan(8000);
  });
});
