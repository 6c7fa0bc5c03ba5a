import { describe, expect, it } from 'vitest';
import { compileCondition } from '../../src/policy/condition.js';
import { decide } from '../../src/policy/decide.js';
import { remember } from '../../src/policy/history.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { patternProblem } from '../../src/policy/pattern-fence.js';
import { documentOf, moment, policyOf, question } from './policies.js';

const asked = question({
  event: {
    type: 'CRASH',
    data: [0xffff_ffff_ffff_ffffn, 3n],
    anomalies: ['DATA_MISSING'],
    detail: {
      kind: 'vmm',
      reason: 'guest-panic',
      action: 'pause',
      arguments: [],
      text: 'kernel BUG',
    },
  },
  origin: 'cloud-hypervisor',
  ageMs: 1_500,
  vm: { id: 'web-1', uid: 'u-1', labels: { tier: 'gold', constructor: 'x' } },
  history: remember({}, 'CRASH', moment(9_999_000), 3),
  host: { name: 'host-1', vms: 20, dying: 4, storm: 'on' },
});

describe('what a condition may ask', () => {
  it.each([
    ['event.type == CRASH', true],
    ['event.type in [RESET, WATCHDOG]', false],
    ['event.initiator == GUEST && event.origin == CLOUD_HYPERVISOR', true],
    ['DATA_MISSING in event.anomalies', true],
    ['event.anomalies.exists(a, a == UNKNOWN_BITS)', false],
    ['event.data.size() == 2 && event.data[0] == 0xffffffffffffffffu', true],
    ['event.data.exists(word, word == 3u)', true],
    ['event.arch == "x86_64" && event.reason == "guest-panic"', true],
    ['event.text.contains("BUG") && event.text.matches("^kernel [A-Z]+$")', true],
    ['event.ageSeconds < 2', true],
    ['vm.id.startsWith("web-") && vm.uid == "u-1"', true],
    ['vm.label("tier") == "gold" && vm.label("zone") == ""', true],
    ['vm.hasLabel("tier") && !vm.hasLabel("toString")', true],
    ['vm.count(CRASH, duration("1h")) == 3', true],
    ['vm.count(CRASH, duration("500ms")) > 0', false],
    ['vm.count(event.type, duration("1h30m")) > 5', false],
    ['host.name == "host-1" && host.vms == 20 && host.dying > 3 && host.storm', true],
    ['vm.label("tier") in ["gold", "silver"] ? true : false', true],
  ])('%s', (text, holds) => {
    const compiled = compileCondition(text);
    expect(compiled).toMatchObject({ ok: true });
    expect(compiled.ok && compiled.condition.test(asked)).toEqual({ ok: true, holds });
  });
});

describe('what it may not', () => {
  it.each([
    ['vm.labels.tier == "a"', 'vm.labels fails'],
    ['vm.labels["tier"] == "a"', 'vm.labels fails'],
    ['"tier" in vm.labels', 'vm.labels fails'],
    ['event.tpye == CRASH', 'No such key: tpye'],
    ['CRSH == event.type', 'Unknown variable: CRSH'],
    ['event.type == "CRSH"', '"CRSH" is not known'],
    ['event.type in ["CRASH", "RESTE"]', '"RESTE" is not known'],
    ['"NDATA" in event.anomalies', '"NDATA" is not known'],
    ['vm.count("CRSH", duration("1h")) > 1', '"CRSH" is not known'],
    ['vm.count(CRASH, duration(vm.id)) > 1', 'a duration written out'],
    ['vm.count(CRASH, duration("one hour")) > 1', 'a duration written out'],
    ['event.text > 1', 'no such overload'],
    ['vm.label("a")', 'is of type string; expected bool'],
    ['event.text.matches(vm.id)', 'has to be written out'],
    ['event.text.matches("(a|b)*c")', 'repeats a group'],
    ['event.text.matches("(?=x)y")', 'looks around'],
    ['event.text.matches("(a)\\\\1")', 'refers back'],
    ['event.text.matches("a*a*b")', 'can backtrack too much'],
    ['event.text.matches("(")', 'is no regular expression'],
    ['event.data.exists(a, event.data.exists(b, a == b))', 'inside another one'],
    ['event.data.map(a, a).exists(b, b == 1u)', 'a list of unknown length'],
    ['event.text.split("").exists(c, c == "x")', "split() can't be used"],
    ['cel.bind(x, "a", x == "a")', ".bind() can't be used"],
    ['dyn(event.type) == 1', "dyn() can't be used"],
    ['timestamp("2026-01-01T00:00:00Z") == timestamp(0)', "timestamp() can't be used"],
    [`event.type in [${Array(33).fill('CRASH').join(', ')}]`, 'Exceeded'],
    [Array(300).fill('host.storm').join(' || '), 'Exceeded'],
    ['event.type ==', 'Unexpected token'],
    ['__proto__ == 1', ''],
  ])('%s', (text, message) => {
    const compiled = compileCondition(text);
    expect(compiled.ok).toBe(false);
    const found = compiled.ok ? [] : compiled.problems.map((problem) => problem.message);
    expect(found.join('\n')).toContain(message);
  });

  it.each(['^web-[0-9]{1,3}$', 'BUG|Oops', 'a.*b', 'ab?c?', '[*+?]', '\\*\\+', '(foo|bar)'])(
    'but the pattern %s is fine',
    (pattern) => {
      expect(patternProblem(pattern)).toBeNull();
    },
  );
});

describe('where a problem stands', () => {
  const place = (text: string): { line: number; column: number } => {
    const before = text.slice(0, text.indexOf('CRSH')).split('\n');
    return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  };
  it.each([
    ['plain', '    when: event.type == CRSH'],
    ['plain over lines', '    when: event.type == CRASH ||\n      event.type == CRSH'],
    ['single quotes', '    when: \'vm.label("it\'\'s") == "a" && event.type == CRSH\''],
    ['double quotes', '    when: "vm.label(\\"x\\") == \'a\' && event.type == CRSH"'],
    ['a block', '    when: |\n      vm.label("x") == "a" &&\n        event.type == CRSH'],
    [
      'a folded block',
      '    when: >- # why\n      vm.label("x") == "a" &&\n      event.type == CRSH',
    ],
  ])('%s', (_name, when) => {
    const text = documentOf(
      `mode: observe\nrules:\n  - name: a\n    on: [CRASH]\n    do: [notify]\n${when}`,
    );
    const parsed = parsePolicy(text, 'p.yaml', compileCondition);
    expect(parsed.ok ? [] : parsed.problems).toMatchObject([{ id: 'VW-P040', ...place(text) }]);
  });
});

describe('a condition that fails', () => {
  const policy = policyOf(`
mode: enforce
rules:
  - { name: word, on: [CRASH], when: 'event.data[0] == 1u', do: [dump] }
  - { name: any, on: [CRASH], do: [powerOff] }
otherwise: [pause]
`);

  it('does nothing, says so, and asks no later rule', () => {
    const decision = decide(policy, question());
    expect(decision).toMatchObject({ act: false, plan: [], rule: { name: 'word', line: 7 } });
    expect(decision.conditionError).toContain('out of bounds');
    expect(decision.reasons.at(-1)).toMatch(/^CONDITION_ERROR: .*nothing is done/);
  });

  it('is asked only when all else of its rule matches', () => {
    expect(decide(policy, question({ event: { type: 'RESET' } }))).toMatchObject({
      conditionError: null,
      plan: [{ verb: 'pause' }],
    });
    expect(decide(policy, question({ event: { data: [2n] } }))).toMatchObject({
      conditionError: null,
      rule: { name: 'any' },
    });
  });
});
