import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load-config.js';
import { SETTINGS } from '../../src/config/settings.js';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

describe('docs/configuration.md', () => {
  it('has a row for each setting, and none besides', () => {
    const rows = page.split('\n').filter((line) => line.includes('| `--'));
    expect(rows).toEqual(
      SETTINGS.map(
        ({ path, environment, flag, description }) =>
          `| \`${path.join('.')}\` | \`${environment}\` | \`--${flag}\` | ${description} |`,
      ),
    );
  });

  it('shows a file that is good, and the defaults that it names', () => {
    const yaml = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    const load = (text: string) =>
      loadConfig({
        configFile: 'vmwarden.yaml',
        flags: {},
        environment: {},
        workingDirectory: '/etc/vmwarden',
        hostName: 'host-17',
        readFile: () => text,
      });
    const shown = load(yaml);
    const bare = load('vms: [{ id: web-1, driver: { kind: observe } }]');
    if (!shown.ok || !bare.ok) throw new Error(JSON.stringify([shown, bare]));
    expect(shown.config.vms.map(({ id }) => id)).toEqual(['web-1', 'appliance']);
    expect(shown.config.vms[0]?.release).toEqual(bare.config.vms[0]?.release);
    expect(shown.config.journal).toEqual(bare.config.journal);
  });
});
