import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { normalize } from '../../src/event/normalize.js';
import type { Capability } from '../../src/event/system-event.js';
import { decodedJson } from '../../src/record/event-json.js';

interface Vector {
  readonly id: string;
  readonly arch: string;
  readonly endian: 'little' | 'big';
  readonly capSystemEventData: number | null;
  readonly rawHex: string;
  readonly kernel: string;
  readonly expect: {
    readonly error?: string;
    readonly detail?: Readonly<Record<string, unknown>>;
    readonly anomalies?: readonly string[];
  };
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../data/vectors.json', import.meta.url), 'utf8'),
);

const capability = (answer: number | null): Capability =>
  answer === null ? 'notStated' : answer > 0 ? 'present' : 'absent';

describe('the vectors from kernel sources', () => {
  test('are all there', () => {
    expect(vectors).toHaveLength(43);
  });

  test.each(vectors)('$id: $kernel', (vector) => {
    const answer = normalize({
      form: 'bytes',
      arch: vector.arch,
      byteOrder: vector.endian,
      capability: capability(vector.capSystemEventData),
      capabilityNumber: null,
      record: Buffer.from(vector.rawHex, 'hex'),
    });
    if (!answer.ok) {
      expect({ error: answer.problem.code }).toEqual(vector.expect);
      return;
    }
    const { note: _, ...detail } = vector.expect.detail ?? {};
    const { anomalies, ...rest } = decodedJson(answer.event);
    expect(rest).toEqual({ ...rest, ...vector.expect, detail, anomalies: undefined });
    expect(new Set(anomalies as string[])).toEqual(new Set(vector.expect.anomalies));
  });
});
