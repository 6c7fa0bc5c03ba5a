import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fillParts,
  matchPath,
  type PathTemplate,
  parsePathTemplate,
  partNames,
} from '../../src/lib/path-template.js';

const template = (text: string): PathTemplate => {
  const parsed = parsePathTemplate(text);
  if (!parsed.ok) throw new Error(parsed.expected);
  return parsed.template;
};

describe('a path template', () => {
  test('knows its base, its segments and its names', () => {
    const parsed = template('/run/vms/{tier}/x-{id}.d//qmp.sock');
    expect(parsed).toEqual({ base: '/run/vms', segments: ['{tier}', 'x-{id}.d', 'qmp.sock'] });
    expect(partNames(parsed)).toEqual(['tier', 'id']);
    expect(template('/{id}')).toEqual({ base: '/', segments: ['{id}'] });
    expect(template('{id}/q')).toEqual({ base: '', segments: ['{id}', 'q'] });
  });

  test.each([
    ['/run/vms/qmp.sock', 'a path with at least one part like {id}'],
    ['/run/{id', 'a path with at least one part like {id}'],
    ['/run/{id}/{x', 'only {name} and * to stand for something, no other glob'],
    ['/run/{id}/q?', 'only {name} and * to stand for something, no other glob'],
    ['/run/[a]/{id}', 'only {name} and * to stand for something, no other glob'],
    ['/run/{a}{b}', 'something between {a} and {b}: nobody could tell where one ends'],
    ['/run/**/{id}', 'something between * and *: nobody could tell where one ends'],
    ['/run/{a}-{b}-{c}', 'at most 2 parts in one segment'],
    ['/run/{a}/{a}', 'each part once, not {a} again'],
    ['/run/{a}/../q', 'no . or .. behind a part'],
    ['/run/{a-b}', 'parts named by a letter and at most 31 more of a-z A-Z 0-9 _, not {a-b}'],
    ['/run/{id}/', 'a path that ends with the name of a socket'],
  ])('is not %s', (text, expected) => {
    expect(parsePathTemplate(text)).toEqual({ ok: false, expected });
  });

  test.each([
    ['/run/vms/{id}/qmp.sock', '/run/vms/web-1/qmp.sock', { id: 'web-1' }],
    ['/run/vms/{id}/qmp.sock', '/run/vms/a/b/qmp.sock', null],
    ['/run/vms/{id}/qmp.sock', '/run/vms//qmp.sock', null],
    ['/run/vms/{id}/qmp.sock', '/run/vms/a/qmp+sock', null],
    ['/run/vms/{id}.sock', '/run/vms/.sock', null],
    ['/run/vms/{id}', '/run/vms/.hidden', null],
    ['/run/vms/.{id}', '/run/vms/.hidden', { id: 'hidden' }],
    ['/run/{tier}-{id}', '/run/web-a-b', { tier: 'web', id: 'a-b' }],
    ['/run/*/{id}.sock', '/run/any/x.sock', { id: 'x' }],
    ['/run/{id}', '/run/a\nb', { id: 'a\nb' }],
    ['/run/{id}', '/var/run/a', null],
  ])('%s has %j as %j', (text, path, parts) => {
    expect(matchPath(template(text), path)).toEqual(parts);
  });

  test('reads back what was put in', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._]{0,20}$/);
    fc.assert(
      fc.property(name, name, (tier, id) => {
        const text = '/run/{tier}/vm-{id}/q.sock';
        const path = fillParts(text, { tier, id });
        expect(matchPath(template(text), path)).toEqual({ tier, id });
      }),
    );
  });
});
