import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { stopAsked } from '../../src/cli/stop-asked.js';

const asked = () => {
  const told: string[] = [];
  const tell = (_: object, message: string) => void told.push(message);
  const events = new EventEmitter();
  return { events, told, ...stopAsked(events, { info: tell, warn: tell, error: tell }) };
};

describe('stopAsked', () => {
  test.each(['SIGTERM', 'SIGINT'])(
    'stops with 0 on %s, and outlives all further signals',
    async (signal) => {
      const { events, told, stopping } = asked();
      events.emit(signal);
      expect(await stopping).toBe(0);
      // No listener would mean that the signal ends the process.
      for (const next of ['SIGTERM', 'SIGINT', 'SIGTERM']) expect(events.emit(next)).toBe(true);
      expect(told).toEqual([
        'stopping',
        ...Array(3).fill('stopping already; ends within stopTimeout'),
      ]);
    },
  );

  test('stops with 1 after an error that nobody handled', async () => {
    const { events, stopping } = asked();
    events.emit('unhandledRejection', new Error('a defect'));
    expect(await stopping).toBe(1);
  });
});
