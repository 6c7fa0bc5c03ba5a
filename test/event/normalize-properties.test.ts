import fc from 'fast-check';
import { test } from 'vitest';
import { ANOMALIES, type Anomaly } from '../../src/event/anomaly.js';
import { findArch } from '../../src/event/arch.js';
import { EVENT_TYPES } from '../../src/event/event-type.js';
import { type Normalized, normalize } from '../../src/event/normalize.js';
import type { RawEvent, RawFields } from '../../src/event/raw-event.js';
import type { Capability, SystemEvent } from '../../src/event/system-event.js';
import {
  anyRaw,
  byteOrder,
  context,
  FUZZ_TIMEOUT,
  fuzz,
  packed,
  rawBytes,
  rawFields,
  rawType,
  word,
} from './raw-arbitrary.js';

const PROBLEMS = ['TRUNCATED', 'MISSING_CONTEXT', 'BYTE_ORDER_SUSPECT', 'WRONG_CAPABILITY_NUMBER'];

/** Equal without a deep comparison of the test runner, which is slow a million times over. */
const text = (value: unknown): string =>
  JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part));

test(
  'any input is an event or a problem, in the words of the contract',
  () => {
    fc.assert(
      fc.property(anyRaw, (raw) => {
        const answer = normalize(raw);
        if (!answer.ok) {
          const { code, field, expected, advice } = answer.problem;
          return PROBLEMS.includes(code) && [field, expected, advice].every((part) => part !== '');
        }
        const { type, data, anomalies, arch } = answer.event;
        return (
          EVENT_TYPES.includes(type) &&
          data.length <= 16 &&
          data.every((value) => value >= 0n && value < 1n << 64n) &&
          anomalies.every((anomaly) => ANOMALIES.includes(anomaly)) &&
          new Set(anomalies).size === anomalies.length &&
          /^[ -~]{0,131}$/.test(arch)
        );
      }),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

/** How many bytes a rule may look at, from the table in docs/system-events.md and by nothing else. */
const readable = (raw: RawEvent & { readonly form: 'bytes' }): number => {
  const { record, capability, arch } = raw;
  if (record.length < 8 || raw.byteOrder === null) return 0;
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const type = view.getUint32(0, raw.byteOrder === 'little');
  const count = view.getUint32(4, raw.byteOrder === 'little');
  if (capability === 'present') return count > 16 ? 8 : 8 + 8 * count;
  const family = findArch(arch)?.family ?? 'other';
  if (!['arm', 'arm64', 'riscv'].includes(family) || ![1, 2, 4, 5].includes(type)) return 4;
  return count > 1 ? 8 : 16;
};

test(
  'what lies behind the words that the kernel wrote has no influence',
  () => {
    fc.assert(
      fc.property(rawBytes, fc.uint8Array({ minLength: 8, maxLength: 8 }), (raw, noise) => {
        if (raw.form !== 'bytes') return true;
        const record = raw.record.map((byte, index) =>
          index < readable(raw) ? byte : (noise[index % 8] ?? 0),
        );
        return text(normalize({ ...raw, record })) === text(normalize(raw));
      }),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

/** A problem's path and wording differ with the form; its code does not. */
const comparable = (answer: Normalized): string =>
  text(answer.ok ? answer.event : answer.problem.code);

test(
  'fields and the bytes of the same fields agree',
  () => {
    fc.assert(
      fc.property(rawFields, byteOrder, (fields, order) => {
        if (fields.form !== 'fields') return true;
        const { ndata, data, flags, type, ...shared } = fields;
        const named = { ...fields, ndata: ndata ?? 0, flags: null };
        const arch = shared.arch === '' ? 's390x' : shared.arch;
        const bytes: RawEvent = {
          arch,
          capability: shared.capability,
          capabilityNumber: shared.capabilityNumber,
          form: 'bytes',
          byteOrder: order,
          record: packed(type, named.ndata, data, order),
        };
        return comparable(normalize({ ...named, arch })) === comparable(normalize(bytes));
      }),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

/** Marks that only the fields form can bear: two names of one word, each with a value. */
const aliasMarks = (fields: RawFields, capability: Capability, event: SystemEvent): Anomaly[] => {
  const { ndata, data, flags } = fields;
  if (flags === null || event.anomalies.includes('DIALECT_NOT_DECODED')) return [];
  if (capability === 'present' && ndata === 0) return flags === 0n ? [] : ['STALE_IGNORED'];
  return data.length > 0 && event.data.length > 0 && flags !== data[0] ? ['ALIAS_CONFLICT'] : [];
};

test(
  'flags, and a count that was not sent, change nothing but marks against the bytes of the same record',
  () => {
    fc.assert(
      fc.property(rawFields, byteOrder, (raw, order) => {
        if (raw.form !== 'fields') return true;
        const { ndata, data, flags, type, ...shared } = raw;
        const fields: RawEvent = { ...raw, arch: shared.arch === '' ? 's390x' : shared.arch };
        const answer = normalize(fields);
        if (shared.capability === 'present' && ndata === null) {
          // Only what a header older than 5.18 knows may come without a count.
          const legacy = data.length === 0 && flags !== null;
          const asked = !answer.ok && answer.problem.field === 'fields.ndata';
          const wrong = !answer.ok && answer.problem.code === 'WRONG_CAPABILITY_NUMBER';
          return asked === (!legacy && !wrong);
        }
        const words = data.length === 0 && flags !== null ? [flags] : data;
        const bytes = normalize({
          arch: fields.arch,
          capability: shared.capability,
          capabilityNumber: shared.capabilityNumber,
          form: 'bytes',
          byteOrder: order,
          record: packed(type, ndata ?? 0, words, order),
        });
        if (!answer.ok || !bytes.ok) return comparable(answer) === comparable(bytes);
        const marks = aliasMarks(raw, shared.capability, bytes.event);
        const anomalies = answer.event.anomalies.filter((name) => !marks.includes(name));
        return (
          marks.every((name) => answer.event.anomalies.includes(name)) &&
          text({ ...answer.event, anomalies }) === text(bytes.event)
        );
      }),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

test(
  'words behind those that the kernel wrote have no influence in the fields form either',
  () => {
    fc.assert(
      fc.property(rawFields, word, (raw, noise) => {
        if (raw.form !== 'fields') return true;
        const { capability, type, ndata, data, arch } = raw;
        const family = findArch(arch)?.family ?? 'other';
        const clears = ['arm', 'arm64', 'riscv'].includes(family) && [1, 2, 4, 5].includes(type);
        const legacy = clears && (ndata ?? 0) <= 1 ? 1 : 0;
        const counted = (ndata ?? 0) > 16 ? 0 : (ndata ?? 0);
        const said = capability === 'present' ? counted : legacy;
        const changed = data.map((value, index) => (index < said ? value : noise));
        const stale = capability !== 'present' && !clears && raw.flags !== null;
        const flags = stale ? noise : raw.flags;
        return text(normalize({ ...raw, data: changed, flags })) === text(normalize(raw));
      }),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

const LEGACY_MARKS: readonly Anomaly[] = ['LEGACY_FLAGS', 'CAP_UNKNOWN'];

test(
  'the legacy form and the new form of one event agree',
  () => {
    const bare = ({ capability: _, anomalies, ...event }: SystemEvent) => ({
      ...event,
      anomalies: anomalies.filter((anomaly) => !LEGACY_MARKS.includes(anomaly)),
    });
    const emitters = fc.constantFrom('arm64', 'aarch64_be', 'arm', 'riscv64', 'riscv32');
    const types = fc.constantFrom(1, 2, 4, 5);
    const old = fc.constantFrom('absent' as const, 'notStated' as const);
    fc.assert(
      fc.property(
        context,
        emitters,
        types,
        word,
        byteOrder,
        old,
        (shared, arch, type, flags, order, capability) => {
          const base = { ...shared, arch, capabilityNumber: null, byteOrder: order };
          const legacy = [
            normalize({
              ...base,
              form: 'bytes',
              capability,
              record: packed(type, 0, [flags], order),
            }),
            normalize({ ...base, form: 'fields', capability, type, ndata: null, data: [], flags }),
          ];
          const present = normalize({
            ...base,
            form: 'bytes',
            capability: 'present',
            record: packed(type, 1, [flags], order),
          });
          return legacy.every(
            (answer) =>
              answer.ok && present.ok && text(bare(answer.event)) === text(bare(present.event)),
          );
        },
      ),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);

test(
  'without the capability an x86 record says its type and nothing else',
  () => {
    fc.assert(
      fc.property(
        fc.constantFrom('x86_64', 'i386', 's390x', 'ppc64', 'pdp-11'),
        rawType,
        fc.uint8Array({ minLength: 4, maxLength: 156 }),
        (arch, type, stale) => {
          const record = new Uint8Array(4 + stale.length);
          new DataView(record.buffer).setUint32(0, type, true);
          record.set(stale, 4);
          const answer = normalize({
            form: 'bytes',
            arch,
            byteOrder: 'little',
            capability: 'absent',
            capabilityNumber: null,
            record,
          });
          return !answer.ok || answer.event.data.length === 0;
        },
      ),
      fuzz,
    );
  },
  FUZZ_TIMEOUT,
);
