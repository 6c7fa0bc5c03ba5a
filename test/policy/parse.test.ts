import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileCondition } from '../../src/policy/condition.js';
import { DEFAULT_POLICY } from '../../src/policy/default-policy.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { formatProblem } from '../../src/policy/problem.js';
import { documentOf, policyOf } from './policies.js';

const problemsOf = (text: string): readonly string[] => {
  const parsed = parsePolicy(text, 'p.yaml', compileCondition);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

const RULE = 'name: a, on: [CRASH]';
const BUDGETS = 'budgets: { b: { limits: [{ attempts: 1, within: 1h }] } }';
const rule = (rest: string, ...more: string[]): string =>
  documentOf(['mode: enforce', 'rules:', `- { ${RULE}, ${rest} }`, ...more].join('\n'));
const budget = (rest: string): string =>
  documentOf(
    [
      'mode: enforce',
      `budgets: { b: { ${rest} } }`,
      `rules: [{ ${RULE}, do: [restart], budget: b }]`,
    ].join('\n'),
  );
const LIMITS = 'limits: [{ attempts: 1, within: 1h }]';

describe('a good file', () => {
  it('becomes a policy with its defaults, and the line of each rule', () => {
    const text = documentOf(`
mode: enforce
budgets:
  crash: { limits: [{ attempts: 3, within: 1h }] }
rules:
  - name: crashed
    on: [CRASH, WATCHDOG]
    do: [dump, { restart: { timeout: 250ms, retries: 2, onFailure: continue } }]
    budget: crash
    exhausted: [powerOff, hold]

  - { name: odd, on: [UNKNOWN], initiator: [host], origin: [kernel], anomaly: [UNKNOWN_TYPE], do: [pause] }
`);
    expect(parsePolicy(text, 'p.yaml', compileCondition)).toEqual({
      ok: true,
      warnings: [],
      policy: {
        name: 'test',
        hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        mode: 'enforce',
        safety: {
          maxEventAgeMs: 300_000,
          maxWaitMs: 3_600_000,
          storm: null,
          concurrent: { restarts: null, dumps: null },
        },
        maintenance: [],
        budgets: {
          crash: {
            limits: [{ attempts: 3, withinMs: 3_600_000 }],
            stableAfterMs: 600_000,
            delay: { baseMs: 10_000, factor: 2, maxMs: 300_000, jitter: 0.5 },
          },
        },
        rules: [
          {
            name: 'crashed',
            line: 9,
            on: ['CRASH', 'WATCHDOG'],
            initiator: ['guest', 'unknown'],
            origin: null,
            anomaly: null,
            vms: null,
            when: null,
            do: [
              { verb: 'dump', timeoutMs: 600_000, retries: 0, onFailure: 'continue' },
              { verb: 'restart', in: 'place', timeoutMs: 250, retries: 2, onFailure: 'continue' },
            ],
            budget: 'crash',
            exhausted: [
              { verb: 'powerOff', timeoutMs: 60_000, retries: 0, onFailure: 'stop' },
              { verb: 'hold', timeoutMs: 30_000, retries: 0, onFailure: 'stop' },
            ],
          },
          {
            name: 'odd',
            line: 15,
            on: ['UNKNOWN'],
            initiator: ['host'],
            origin: ['kernel'],
            anomaly: ['UNKNOWN_TYPE'],
            vms: null,
            when: null,
            do: [{ verb: 'pause', timeoutMs: 30_000, retries: 0, onFailure: 'stop' }],
            budget: null,
            exhausted: [],
          },
        ],
        otherwise: [{ verb: 'notify', timeoutMs: 30_000, retries: 0, onFailure: 'stop' }],
      },
    });
  });

  it('is known by the hash of its bytes', () => {
    const hashOf = (text: string): string => {
      const parsed = parsePolicy(text, 'p.yaml', compileCondition);
      return parsed.ok ? parsed.policy.hash : '';
    };
    const text = documentOf('mode: observe');
    expect(hashOf(text)).not.toBe(hashOf(`${text}# more\n`));
    expect(hashOf(text)).toBe(hashOf(text));
    // From sha256sum.
    expect(hashOf(documentOf('mode: observe'))).toBe(
      'c1d7c4311e887867685f3dfe4d1f5d48e51285946988fa5782736710baf22993',
    );
  });

  it('can be what "policy init" writes, without a warning', () => {
    expect(parsePolicy(DEFAULT_POLICY, 'p.yaml', compileCondition)).toMatchObject({
      ok: true,
      warnings: [],
    });
  });

  it.each([
    ['VW-W001', rule('do: [restart]')],
    ['VW-W002', documentOf('mode: enforce\notherwise: [restart]')],
    ['VW-W003', documentOf(`mode: enforce\n${BUDGETS}`)],
  ])('may get the warning %s', (id, text) => {
    const parsed = parsePolicy(text, 'p.yaml', compileCondition);
    expect(parsed).toMatchObject({ ok: true, warnings: [{ id }] });
  });

  it('may name a budget as JavaScript names its own', () => {
    const spec = (name: string) => `
mode: enforce
budgets: { ${name}: { ${LIMITS} } }
rules: [{ ${RULE}, do: [restart], budget: ${name} }]`;
    expect(Object.keys(policyOf(spec('constructor')).budgets)).toEqual(['constructor']);
    expect(problemsOf(documentOf(spec('__proto__')))[0]).toContain('VW-P010');
    expect(problemsOf(rule('do: [restart], budget: toString'))[0]).toContain('VW-P030');
  });
});

describe('a file with one fault', () => {
  it.each([
    // The text.
    ['', '1:1: VW-P011 the file is empty; expected a policy (see: vmwarden policy init)'],
    ['# nothing\n', '1:1: VW-P011 the file is empty'],
    [
      'a: [',
      '1:5: VW-P001 not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['a: b: c', '1:4: VW-P001 not valid YAML: Nested mappings'],
    ['a\n---\nb', '1:1: VW-P001 more than one YAML document; expected one'],
    ['%YAML 1.1\n---\na: 1', '1:1: VW-P003 a %YAML directive; this file is always YAML 1.2'],
    [rule('do: &x [restart]'), '7:36: VW-P003 spec.rules[0].do: an anchor (leave out the "&...")'],
    [rule('do: !!seq [restart]'), 'VW-P003 spec.rules[0].do: a tag'],
    [
      documentOf('mode: observe\nmode: enforce'),
      '6:3: VW-P004 spec.mode: the key "mode" stands here again; first on line 5 (keep one of them)',
    ],
    // The shape.
    ['[]', '1:1: VW-P012 a list stands here; expected a map'],
    ['5', '1:1: VW-P012 5 stands here; expected a map'],
    [
      documentOf('mode: observe').replace('v1', 'v2'),
      '1:13: VW-P013 apiVersion: "vmwarden.dev/v2" is not known; expected vmwarden.dev/v1',
    ],
    [
      documentOf('mode: observe').replace('EventPolicy', 'Policy'),
      '2:7: VW-P013 kind: "Policy" is not known; expected EventPolicy',
    ],
    [
      documentOf('mode: observe').replace('{ name: test }', '{}'),
      '3:1: VW-P011 metadata.name: is missing; expected text',
    ],
    [
      documentOf('mode: observe').replace('name: test', 'name: "a b"'),
      'VW-P014 metadata.name: "a b" won\'t do; expected 1 to 63 letters',
    ],
    [
      documentOf('rules: []'),
      '4:1: VW-P011 spec.mode: is missing; expected one of observe, enforce',
    ],
    [
      documentOf('mode: enforced'),
      '5:9: VW-P013 spec.mode: "enforced" is not known; expected one of observe, enforce (did you mean enforce?)',
    ],
    [
      documentOf('mode: observe\nsaftey: {}'),
      '6:3: VW-P010 spec.saftey: unknown key "saftey"; expected one of mode, maintenance, safety, budgets, rules, otherwise (did you mean safety?)',
    ],
    [
      documentOf('mode: observe\nsafety: { maxEventAge: 5 }'),
      'VW-P012 spec.safety.maxEventAge: 5 stands here; expected a duration such as',
    ],
    [
      documentOf('mode: observe\nsafety: { maxWait: 8d }'),
      'VW-P015 spec.safety.maxWait: "8d" won\'t do; expected a duration from 1s to 7d',
    ],
    [
      documentOf('mode: observe\notherwise: notify'),
      'VW-P012 spec.otherwise: "notify" stands here; expected a list',
    ],
    [documentOf('mode: observe\n1: 2'), '6:3: VW-P012 spec: 1 as a key; expected text'],
    [
      rule('do: [reboot]'),
      'VW-P013 spec.rules[0].do[0]: "reboot" is not known; expected one of restart',
    ],
    [rule('do: []'), 'VW-P014 spec.rules[0].do: the list is empty; expected at least one entry'],
    [rule('do:'), 'VW-P011 spec.rules[0].do: is missing; expected a list'],
    [
      rule('do: [{ restart: {}, dump: {} }]'),
      'VW-P016 spec.rules[0].do[0]: restart and dump in one step; expected exactly one',
    ],
    [rule('do: [{}]'), 'VW-P016 spec.rules[0].do[0]: no verb in one step'],
    [rule('do: [{ powerof: {} }]'), 'VW-P010 spec.rules[0].do[0].powerof: unknown key "powerof"'],
    [
      rule('do: [{ dump: { retries: 11 } }]'),
      'VW-P014 spec.rules[0].do[0].dump.retries: 11 is out of range; expected at most 10',
    ],
    [
      rule('do: [{ dump: { retries: 1.5 } }]'),
      'VW-P012 spec.rules[0].do[0].dump.retries: 1.5 stands here; expected a whole number',
    ],
    [
      rule('do: [{ dump: { timeout: 10ms } }]'),
      'VW-P015 spec.rules[0].do[0].dump.timeout: "10ms" won\'t do; expected a duration from 100ms to 1d',
    ],
    [
      rule('do: [{ dump: { onFailure: go } }]'),
      'VW-P013 spec.rules[0].do[0].dump.onFailure: "go" is not known',
    ],
    [
      rule('do: [notify], initiator: [gest]'),
      '"gest" is not known; expected one of guest, host, operator, vmwarden, unknown (did you mean guest?)',
    ],
    [rule('do: [notify], name2: a\u202e'), 'VW-P010 spec.rules[0].name2'],
    [budget('limits: []'), 'VW-P014 spec.budgets.b.limits: the list is empty'],
    [
      budget('limits: [{ attempts: 0, within: 1h }]'),
      'VW-P014 spec.budgets.b.limits[0].attempts: 0 is out of range; expected at least 1',
    ],
    [
      budget('limits: [{ attempts: .inf, within: 1h }]'),
      'spec.budgets.b.limits[0].attempts: Infinity',
    ],
    [
      budget('limits: [{ attempts: 1, within: 31d }]'),
      'VW-P015 spec.budgets.b.limits[0].within: "31d" won\'t do',
    ],
    [
      budget(`${LIMITS}, delay: { factor: 0.5 }`),
      'VW-P014 spec.budgets.b.delay.factor: 0.5 is out of range; expected at least 1',
    ],
    [
      budget(`${LIMITS}, delay: { jitter: 1.1 }`),
      'VW-P014 spec.budgets.b.delay.jitter: 1.1 is out of range; expected at most 1',
    ],
    [
      budget(`${LIMITS}, delay: { base: 6m }`),
      'VW-P014 spec.budgets.b.delay.base: base 6 min is more than max 5 min; expected at most max',
    ],
    // Conditions, with the place in the expression.
    [
      rule('do: [notify], when: \'vm.labels.tier == "a"\''),
      'VW-P040 spec.rules[0].when: vm.labels fails for a VM without the label (use vm.label("name"), "" when absent)',
    ],
    [
      rule("do: [notify], when: 'event.type == CRAHS'"),
      'VW-P040 spec.rules[0].when: Unknown variable: CRAHS',
    ],
    [
      rule('do: [notify], when: \'event.type == "CRAHS"\''),
      'VW-P040 spec.rules[0].when: "CRAHS" is not known; expected one of SHUTDOWN, RESET, CRASH',
    ],
    [
      rule("do: [notify], when: 'event.type == 3'"),
      'VW-P040 spec.rules[0].when: no such overload: string == int',
    ],
    [
      rule("do: [notify], when: 'event.type =='"),
      'VW-P040 spec.rules[0].when: Unexpected token: EOF',
    ],
    [
      rule('do: [notify], when: \'vm.count(CRASH, duration("1h"))\''),
      'VW-P040 spec.rules[0].when: is of type int; expected bool (compare it with something)',
    ],
    [
      rule('do: [notify], when: \'vm.count(CRASH, duration("30d")) > 1\''),
      'VW-P040 spec.rules[0].when: expected a duration written out, such as "90s", "10m" or "24h" (there are no days)',
    ],
    [
      rule('do: [notify], when: \'event.text.matches("(a+)+$")\''),
      'VW-P040 spec.rules[0].when: the regular expression repeats a group, so that it can backtrack without end',
    ],
    [
      rule(`do: [notify], vms: { matchExpressions: [{ key: tier, operator: In }] }`),
      'VW-P038 spec.rules[0].vms.matchExpressions[0]: In without values; expected at least one',
    ],
    [
      documentOf('mode: observe\nmaintenance: [{ reason: x, until: tomorrow }]'),
      'VW-P017 spec.maintenance[0].until: "tomorrow" won\'t do; expected a time with an offset, such as 2026-01-31T18:00:00Z',
    ],
    // The meaning.
    [
      rule('do: [restart], budget: b'),
      'VW-P030 spec.rules[0].budget: no budget "b"; none is under spec.budgets (define it under spec.budgets)',
    ],
    [
      documentOf(
        `mode: enforce\nbudgets: { crash: { ${LIMITS} } }\nrules: [{ ${RULE}, do: [restart], budget: crahs }]`,
      ),
      'VW-P030 spec.rules[0].budget: no budget "crahs"; there are: crash (did you mean crash?)',
    ],
    [
      rule('do: [notify]', '- { name: a, on: [RESET], do: [notify] }'),
      '8:13: VW-P031 spec.rules[1].name: "a" is also the name of rule 1',
    ],
    [
      rule('do: [notify]', '- { name: b, on: [CRASH], initiator: [guest], do: [dump] }'),
      '8:5: VW-P032 spec.rules[1]: rule "b" can\'t be reached: what it matches is answered by "a" before it (move it up, or take it out)',
    ],
    [
      rule('do: [notify], exhausted: [hold]'),
      'VW-P033 spec.rules[0].exhausted: exhausted without a budget is never used',
    ],
    [
      rule('do: [hold, dump]'),
      'VW-P034 spec.rules[0].do[0]: hold ends a plan, but dump follows (put hold last)',
    ],
    [
      rule('do: [notify, dump]'),
      'VW-P034 spec.rules[0].do[0]: notify ends a plan, but dump follows',
    ],
    [
      documentOf(
        `mode: enforce\n${BUDGETS}\nrules: [{ ${RULE}, do: [restart], budget: b, exhausted: [restart] }]`,
      ),
      'VW-P035 spec.rules[0].exhausted[0]: restart under exhausted would go past the budget',
    ],
    [
      budget(`${LIMITS}, delay: { max: 1h }`),
      'VW-P036 spec.budgets.b.delay: waits up to 1 h 30 min (max with jitter), but a waiting step is cancelled after safety.maxWait, 1 h',
    ],
    [
      documentOf(`mode: enforce\n${BUDGETS}\nrules: [{ ${RULE}, do: [notify], budget: b }]`),
      'VW-P037 spec.rules[0].budget: a budget on a rule that does nothing',
    ],
  ])('%# gets exactly one problem', (text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });
});

it('tells all problems at once, in the order of the file', () => {
  const text = documentOf(`
mode: on
safety: { storm: { vms: 1 } }
rules:
  - { name: a, on: [CRSH], do: [dump, hold, restart], budget: none, when: 5 }
  - { name: a, on: [CRASH], do: [nmi, notify], colour: red }
otherwise: [hold, restart]
`);
  expect(
    problemsOf(text).map((line) => line.replace(/^p.yaml:(\d+):\d+: (\S+) (\S+):.*/, '$1 $2 $3')),
  ).toEqual([
    '5 VW-P013 spec.mode',
    '6 VW-P014 spec.safety.storm.vms',
    '8 VW-P013 spec.rules[0].on[0]',
    '8 VW-P012 spec.rules[0].when',
    '9 VW-P031 spec.rules[1].name',
    '9 VW-P010 spec.rules[1].colour',
    '10 VW-P034 spec.otherwise[0]',
  ]);
});

it('refuses an alias, which keeps what it points to from being read', () => {
  const problems = problemsOf(rule('do: &x [restart]', '- { name: b, on: [RESET], do: *x }'));
  expect(problems).toHaveLength(2);
  expect(problems[1]).toContain('VW-P003 spec.rules[1].do: an alias (write the value out)');
});

it('prints no control characters of a file', () => {
  const problems = problemsOf(documentOf('mode: "\\e[31m\\u202e\\u0000\\x9b"'));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/^[\x20-\x7e]+$/);
});

describe('bounds', () => {
  const many = (count: number, item: (index: number) => string): string =>
    documentOf(
      ['mode: observe', 'rules:', ...Array.from({ length: count }, (_, i) => item(i))].join('\n'),
    );

  it('takes 1000 rules and no more', () => {
    const first = '- { name: r0, on: [CRASH], do: [notify] }';
    const item = (i: number) =>
      i === 0 ? first : `- { name: r${i}, on: [CRASH, RESET], do: [notify] }`;
    const problems = problemsOf(many(1_001, item));
    expect(problems).toHaveLength(100);
    expect(
      problems.some((line) =>
        line.includes('VW-P014 spec.rules: the list has 1001 entries; expected at most 1000'),
      ),
    ).toBe(true);
  });

  it('takes 1 MiB and no more', () => {
    const text = documentOf('mode: observe');
    const filler = (length: number) => `${text}#${'x'.repeat(length - text.length - 1)}`;
    expect(problemsOf(filler(1_048_576))).toEqual([]);
    expect(problemsOf(filler(1_048_577))).toEqual([
      'p.yaml:1:1: VW-P002 the file has 1048577 characters; at most 1048576',
    ]);
  });

  it.each([
    ['nested lists', '['.repeat(20_000)],
    ['nested maps', `${'{a: '.repeat(10_000)}1${'}'.repeat(10_000)}`],
    ['closing brackets', ']'.repeat(1_000_000)],
    [
      'an alias bomb',
      `a: &a [x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [*a, *a]`).join('\n')}`,
    ],
    ['keys', Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join('\n')],
  ])('answers %s with problems', (_, text) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(100);
  });
});

describe('any text', () => {
  const check = (text: string): void => {
    const parsed = parsePolicy(text, 'p.yaml', compileCondition);
    if (parsed.ok) return;
    expect(parsed.problems.length).toBeGreaterThan(0);
    const lines = text.split(/\r\n|\n|\r/).length;
    for (const problem of parsed.problems) {
      expect(problem.id).toMatch(/^VW-P0\d\d$/);
      expect(problem.line).toBeGreaterThanOrEqual(1);
      expect(problem.line).toBeLessThanOrEqual(lines + 1);
      expect(problem.column).toBeGreaterThanOrEqual(1);
      expect(problem.message).not.toBe('');
      expect(formatProblem(problem)).toMatch(/^p\.yaml:\d+:\d+: VW-P0\d\d /);
    }
  };

  it('never throws, and each problem has its place', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), check), { numRuns: 500 });
  });

  it('nor does text made of YAML', () => {
    const token = fc.constantFrom(
      'a',
      ': ',
      '- ',
      '\n',
      '  ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '"',
      "'",
      '#',
      '&a ',
      '*a ',
      '!!x ',
      '? ',
      '| ',
      '%YAML 1.1',
      '---\n',
      '\t',
      '1',
      'null',
      '\r\n',
      '<<: ',
      '\ufeff',
    );
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 60 }).map((parts) => parts.join('')),
        check,
      ),
      { numRuns: 1_000 },
    );
  });

  it('nor does a policy with pieces cut out, doubled or exchanged', () => {
    const words = DEFAULT_POLICY.split(/(?<=[\s,[\]{}:])/);
    const edit = fc.record({
      at: fc.nat(words.length - 1),
      from: fc.nat(words.length - 1),
      kind: fc.constantFrom('cut', 'double', 'exchange'),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), (edits) => {
        const changed = [...words];
        for (const { at, from, kind } of edits) {
          if (kind === 'cut') changed[at] = '';
          else if (kind === 'double') changed[at] = `${changed[at]}${changed[at]}`;
          else changed[at] = words[from] ?? '';
        }
        check(changed.join(''));
      }),
      { numRuns: 300 },
    );
  });
});
