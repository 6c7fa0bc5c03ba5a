import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesGlob, type Selector, selects } from '../../src/policy/selector.js';
import { policyOf } from './policies.js';

const vm = (id: string, labels: Record<string, string> = {}) => ({ id, uid: '', labels });
const selectorOf = (vms: string): Selector | null =>
  policyOf(`mode: observe\nrules: [{ name: r, on: [CRASH], do: [notify], vms: ${vms} }]`).rules[0]
    ?.vms ?? null;

describe('id globs', () => {
  it.each([
    ['web-*', 'web-1', true],
    ['web-*', 'web-', true],
    ['web-*', 'db-1', false],
    ['*', 'anything', true],
    ['web-?', 'web-12', false],
    ['*-prod-*', 'eu-prod-1', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-b-b-d', false],
    ['web.1', 'web-1', false],
    ['', '', true],
  ])('%s and %s: %s', (glob, id, expected) => {
    expect(matchesGlob(glob, id)).toBe(expected);
  });

  it('matches as the regular expression that it stands for', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '*', '?'), { maxLength: 8 });
    const text = fc.array(fc.constantFrom('a', 'b'), { maxLength: 8 });
    fc.assert(
      fc.property(letters, text, (glob, id) => {
        const pattern = glob
          .map((part) => (part === '*' ? '.*' : part === '?' ? '.' : part))
          .join('');
        expect(matchesGlob(glob.join(''), id.join(''))).toBe(
          new RegExp(`^${pattern}$`).test(id.join('')),
        );
      }),
    );
  });

  it('takes no time for a glob that a backtracking matcher would take for ever for', () => {
    expect(matchesGlob('*a'.repeat(60), 'a'.repeat(59))).toBe(false);
  });
});

// The table of Kubernetes' own tests for label selectors, where it has a word for it.
describe('labels, as Kubernetes selects by them', () => {
  it.each([
    ['{ matchLabels: { tier: gold } }', { tier: 'gold' }, true],
    ['{ matchLabels: { tier: gold } }', { tier: 'silver' }, false],
    ['{ matchLabels: { tier: gold, zone: a } }', { tier: 'gold' }, false],
    ['{ matchExpressions: [{ key: tier, operator: In, values: [a, b] }] }', { tier: 'b' }, true],
    ['{ matchExpressions: [{ key: tier, operator: In, values: [a, b] }] }', {}, false],
    ['{ matchExpressions: [{ key: tier, operator: NotIn, values: [a] }] }', {}, true],
    ['{ matchExpressions: [{ key: tier, operator: NotIn, values: [a] }] }', { tier: 'a' }, false],
    ['{ matchExpressions: [{ key: tier, operator: Exists }] }', { tier: '' }, true],
    ['{ matchExpressions: [{ key: tier, operator: Exists }] }', {}, false],
    ['{ matchExpressions: [{ key: tier, operator: DoesNotExist }] }', {}, true],
    ['{ matchExpressions: [{ key: constructor, operator: Exists }] }', {}, false],
    ['{ ids: [web-*, db-*], matchLabels: { tier: gold } }', { tier: 'gold' }, true],
    ['{ ids: [db-*], matchLabels: { tier: gold } }', { tier: 'gold' }, false],
    ['{}', {}, true],
  ])('%s on %o: %s', (vms, labels, expected) => {
    expect(selects(selectorOf(vms), vm('web-1', labels as Record<string, string>))).toBe(expected);
  });
});
