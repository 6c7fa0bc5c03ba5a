import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load-config.js';
import { formatConfigProblem } from '../../src/config/problem.js';

const load = (text: string) =>
  loadConfig({
    configFile: 'vmwarden.yaml',
    flags: {},
    environment: {},
    workingDirectory: '/etc/vmwarden',
    hostName: 'host-1',
    readFile: () => text,
  });

const problems = (discover: string): string[] => {
  const loaded = load(`discover:\n  - ${discover}\n`);
  return loaded.ok ? [] : loaded.problems.map(formatConfigProblem);
};

describe('discover', () => {
  test('has its defaults', () => {
    const loaded = load('discover: [{ driver: { kind: qemu, socket: "/run/vms/{id}/qmp" } }]');
    expect(loaded.ok && loaded.config.discover).toEqual([
      {
        driver: { kind: 'qemu', socket: { base: '/run/vms', segments: ['{id}', 'qmp'] } },
        id: '{id}',
        uid: '',
        labels: {},
        takeOver: false,
        release: { panic: 'shutdown', shutdown: 'poweroff', watchdog: 'reset', reboot: 'reset' },
        owners: [],
        retireAfterMs: 3_600_000,
      },
    ]);
  });

  test('takes relative patterns from where the file is', () => {
    const loaded = load('discover: [{ driver: { kind: qemu, socket: "vms/{id}/qmp" } }]');
    expect(loaded.ok && loaded.config.discover[0]?.driver.socket.base).toBe('/etc/vmwarden/vms');
  });

  test.each([
    [
      '{ driver: { kind: qemu, socket: /run/vms/qmp } }',
      'discover[0].driver.socket: got "/run/vms/qmp", expected a path with at least one part like {id}',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{name}/qmp" } }',
      'discover[0].driver.socket: has no part {id}; expected one (or say by `id` what the VM is called)',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{name}/qmp" }, id: web }',
      'discover[0].id: expected a part of the path in it, like {id}',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{id}/qmp" }, labels: { tier: "{tier}" } }',
      'discover[0].labels.tier: {tier} is no part of driver.socket; expected one (it has {id})',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{id}/qmp" }, uid: "{id" }',
      'discover[0].uid: has a brace that begins or ends no {name}',
    ],
    [
      '{ driver: { kind: agent, socket: "/run/{id}/qmp" } }',
      'discover[0].driver.kind: got "agent", expected qemu',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{id}/qmp" }, owners: [qemu] }',
      'discover[0].owners[0]: got "qemu", expected a number',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{id}/qmp" }, takeover: true }',
      'discover[0].takeover: unknown key "takeover" (did you mean takeOver?)',
    ],
    [
      '{ driver: { kind: qemu, socket: "/run/{id}/qmp" }, retireAfter: soon }',
      'discover[0].retireAfter: got "soon", expected a duration',
    ],
  ])('refuses %s', (written, expected) => {
    const found = problems(written);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });
});
