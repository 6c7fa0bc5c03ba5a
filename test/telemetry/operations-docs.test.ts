import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CATALOG, type MetricSpec } from '../../src/telemetry/metrics/catalog.js';
import { startMetricsApp } from '../support/metrics-app.js';

const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const catalog: Readonly<Record<string, MetricSpec>> = CATALOG;

interface Alert {
  readonly name: string;
  readonly anchor: string;
  readonly expression: string;
  readonly holdsFor: string;
  readonly severity: string;
}

const alerts: readonly Alert[] = page.split('\n').flatMap((line) => {
  const row = /^\| \[(\w+)\]\(#(\w+)\) \| `(.+)` \| (\w+) \| (\w+) \|$/.exec(line);
  if (row === null) return [];
  const [, name = '', anchor = '', expression = '', holdsFor = '', severity = ''] = row;
  return [{ name, anchor, expression: expression.replaceAll('\\|', '|'), holdsFor, severity }];
});

test('the table of metrics is the catalog', () => {
  const rows = page.split('\n').filter((line) => /^\| `(vmwarden|process|nodejs)_/.test(line));
  expect(rows).toEqual(
    Object.entries(catalog).map(([name, { type, labels, help }]) => {
      const named = labels.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${named} | ${help} |`;
    }),
  );
});

test('each alert has a section of its own with something to do', () => {
  expect(alerts.length).toBeGreaterThan(20);
  const listed = page.split('\n').filter((line) => line.startsWith('| [Vmwarden'));
  expect(listed).toHaveLength(alerts.length);
  for (const { name, anchor, holdsFor, severity } of alerts) {
    expect(anchor).toBe(name.toLowerCase());
    expect(holdsFor).toMatch(/^\d+[mh]$/);
    expect(['warning', 'critical']).toContain(severity);
    const section = new RegExp(`^### ${name}\\n\\n(.+)`, 'm').exec(page)?.[1] ?? '';
    expect(section.length, name).toBeGreaterThan(60);
  }
  const sections = [...page.matchAll(/^### (Vmwarden\w+)$/gm)].map(([, name]) => name);
  expect(sections).toEqual(alerts.map(({ name }) => name));
});

test('every metric, label and bucket that an expression names is in a real scrape', async () => {
  const { scrape } = await startMetricsApp(null);
  const { families } = await scrape();
  for (const { name, expression } of alerts) {
    // Prometheus makes `up` itself, for each target.
    const named = [...expression.matchAll(/\b(vmwarden_\w+|up)\b(?:\{([^}]*)\})?/g)].filter(
      ([, metric]) => metric !== 'up',
    );
    if (!expression.startsWith('up{')) expect(named, name).not.toEqual([]);
    for (const [, metric = '', selector = ''] of named) {
      const family = families.has(metric) ? metric : metric.replace(/_(bucket|sum|count)$/, '');
      expect(families.has(family), `${name}: ${metric}`).toBe(true);
      expect(metric !== family, `${name}: ${metric}`).toBe(catalog[family]?.type === 'histogram');
      for (const [, label = ''] of selector.matchAll(/(\w+)(?:=~|!=|!~|=)"/g)) {
        expect(catalog[family]?.labels, `${name}: ${metric}{${label}}`).toContain(label);
      }
    }
    const words = new Set([...Object.values(catalog).flatMap(({ labels }) => labels)]);
    for (const [, by = ''] of expression.matchAll(/by \(([^)]*)\)/g)) {
      for (const label of by.split(', ')) {
        expect(['instance', 'le', ...words], `${name}: by ${label}`).toContain(label);
      }
    }
  }
});
