import { spawnSync } from 'node:child_process';
import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { chartAlerts, chartReadme } from '../../scripts/chart.mjs';
import { loadConfig } from '../../src/config/load-config.js';
import { compileCondition } from '../../src/policy/condition.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { describePart } from '../support/parts.js';
import { CHART, find, helm, NAMESPACE, RELEASE, type Rendered, render, template } from './helm.js';
import { typeProblems } from './kubernetes-types.js';
import { containersOf, podProblems, podSpecOf, restrictedProblems } from './pods.js';
import { EXAMPLES, MATRIX, REFUSED } from './values-matrix.js';

const IMAGE = { repository: 'registry.example/vmwarden' };
const RENDER_MS = 180_000;

describePart('helm', 'the chart', () => {
  const rendered = new Map<string, readonly Rendered[]>();
  const objectsOf = (name: string): readonly Rendered[] => rendered.get(name) ?? [];

  beforeAll(() => {
    for (const [name, values] of MATRIX) rendered.set(name, render(values));
  }, RENDER_MS);

  test.each([...EXAMPLES, { image: IMAGE }, { image: IMAGE, mode: 'sidecar' }])(
    'passes helm lint --strict with %j',
    (values) => {
      expect(helm(['lint', '--strict', CHART], values)).toMatchObject({ ok: true });
    },
  );

  test('every object fits the schema of its kind, and no field is unknown', {
    timeout: RENDER_MS,
  }, () => {
    const all = [...rendered.values()].flat();
    expect(all.length).toBeGreaterThan(MATRIX.length * 3);
    expect(new Set(all.map(({ kind }) => kind))).toEqual(
      new Set([
        'Certificate',
        'ConfigMap',
        'DaemonSet',
        'NetworkPolicy',
        'Pod',
        'PodMonitor',
        'PriorityClass',
        'PrometheusRule',
        'ServiceAccount',
      ]),
    );
    expect(typeProblems(all)).toEqual([]);
  });

  test('the check of schemas refuses what an API server would', { timeout: RENDER_MS }, () => {
    const daemonSet = find(objectsOf('a DaemonSet as it comes'), 'DaemonSet');
    const broken = (change: (pod: Record<string, unknown>) => void): Rendered => {
      const copy = structuredClone(daemonSet);
      change(podSpecOf(copy) as unknown as Record<string, unknown>);
      return copy;
    };
    const unknown = broken((pod) => {
      pod['terminationGracePeriod'] = 30;
    });
    const wrong = broken((pod) => {
      pod['hostPID'] = 'yes';
    });
    const missing = broken((pod) => {
      delete pod['containers'];
    });
    expect(typeProblems([unknown, wrong, missing])).toEqual([
      expect.stringMatching(
        /specify known properties, and '"terminationGracePeriod"' does not exist/,
      ),
      expect.stringContaining("Type 'string' is not assignable to type 'boolean"),
      expect.stringContaining("Property 'containers' is missing"),
    ]);
  });

  describe.each(MATRIX.map(([name]) => name))('%s', (name) => {
    test('has names that Kubernetes takes, each once', () => {
      const names = objectsOf(name).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      expect(new Set(names).size).toBe(names.length);
      for (const { metadata } of objectsOf(name)) {
        expect(metadata.name).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
        for (const value of Object.values(metadata.labels ?? {})) {
          expect(value).toMatch(/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/);
        }
      }
    });

    test('has pods that fit together, without a token', () => {
      for (const object of objectsOf(name)) {
        const pod = podSpecOf(object);
        if (pod === null) continue;
        const isTest = object.metadata.name.endsWith('-check');
        expect(podProblems(pod).filter((why) => !(isTest && why.startsWith('nobody')))).toEqual([]);
        expect(pod.automountServiceAccountToken).toBe(false);
        for (const { securityContext } of containersOf(pod).filter((c) => c.name === 'vmwarden')) {
          expect(securityContext).toMatchObject({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          });
        }
      }
    });

    test('has a configuration and a policy that vmwarden takes', () => {
      const config = find(objectsOf(name), 'ConfigMap', '-config');
      const loaded = loadConfig({
        configFile: '/etc/vmwarden/config/vmwarden.yaml',
        flags: {},
        environment: { VMWARDEN_DATA_DIR: '/var/lib/vmwarden', VMWARDEN_HOST: 'node-1' },
        workingDirectory: '/',
        hostName: 'node-1',
        readFile: () => dataOf(config, 'vmwarden.yaml'),
      });
      expect(loaded).toMatchObject({ ok: true, warnings: [] });
      if (!loaded.ok) return;
      const { config: meant } = loaded;
      expect(meant.stopTimeoutMs).toBe(10_000);
      const policy = objectsOf(name).find(({ metadata }) => metadata.name.endsWith('-policy'));
      if (policy?.kind !== 'ConfigMap') return;
      expect(meant.policyFile).toBe('/etc/vmwarden/policy/policy.yaml');
      expect(
        parsePolicy(dataOf(policy, 'policy.yaml'), 'policy.yaml', compileCondition),
      ).toMatchObject({ ok: true });
    });
  });

  test('hands patterns of sockets to vmwarden as they are', () => {
    const config = find(objectsOf('a DaemonSet that finds its VMs'), 'ConfigMap', '-config');
    const loaded = loadConfig({
      configFile: '/etc/vmwarden/config/vmwarden.yaml',
      flags: {},
      environment: {},
      workingDirectory: '/',
      hostName: 'node-1',
      readFile: () => dataOf(config, 'vmwarden.yaml'),
    });
    expect(loaded.ok && loaded.config.discover).toMatchObject([
      {
        driver: { socket: { base: '/run/vms', segments: ['{tier}', '{id}.sock'] } },
        uid: '{tier}-{id}',
        owners: [107],
        retireAfterMs: 21_600_000,
      },
    ]);
  });

  test.each(REFUSED)('refuses %s', (_, values, said) => {
    const result = template(values);
    expect(result).toMatchObject({ ok: false });
    expect(result.ok ? '' : result.problem).toContain(said);
  });

  test('passes the restricted Pod Security Standard in sidecar mode', () => {
    const sidecars = MATRIX.filter(([name]) => {
      const objects = objectsOf(name);
      return !objects.some(({ kind }) => kind === 'DaemonSet');
    });
    expect(sidecars.length).toBeGreaterThan(5);
    const pods = sidecars.flatMap(([name]) => objectsOf(name).flatMap((o) => podSpecOf(o) ?? []));
    expect(pods.flatMap(restrictedProblems)).toEqual([]);
  });

  test('needs nothing beyond it as a DaemonSet but the node’s directories, and root to give one away', () => {
    const pod = podSpecOf(find(objectsOf('a DaemonSet as it comes'), 'DaemonSet'));
    expect(pod === null ? [] : restrictedProblems(pod)).toEqual([
      'volume vmwarden-data: hostPath',
      'volume vmwarden-sockets: hostPath',
      'prepare-data: capabilities added: CHOWN',
      'prepare-data: runAsNonRoot',
      'prepare-data: runAsUser 0',
    ]);
  });

  // Only root can take the place of root without capabilities.
  test.runIf(process.getuid?.() === 0)(
    'gives the journal’s directory away, also one that was another user’s',
    () => {
      const pod = podSpecOf(find(objectsOf('a DaemonSet as it comes'), 'DaemonSet'));
      const [, flag = '', script = ''] = pod?.initContainers?.[0]?.command ?? [];
      const top = mkdtempSync(join(tmpdir(), 'vmwarden-data-'));
      onTestFinished(() => rmSync(top, { recursive: true, force: true }));
      const within = ['sub', 'sub/dump', 'data.mdb'].map((name) => join(top, name));
      mkdirSync(join(top, 'sub'), { mode: 0o700 });
      for (const file of within.slice(1)) writeFileSync(file, '', { mode: 0o600 });
      symlinkSync(process.execPath, join(top, 'link'));
      const owner = lstatSync(process.execPath).uid;
      for (const uid of [65_532, 107]) {
        const bounds = ['--inh-caps=-all', '--bounding-set=-all,+chown', process.execPath];
        const { status, stderr } = spawnSync(
          'setpriv',
          [...bounds, flag, script, top, `${uid}`, `${uid}`],
          { encoding: 'utf8', timeout: 60_000 },
        );
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
        expect([top, ...within].map((path) => lstatSync(path).uid)).toEqual(Array(4).fill(uid));
        expect(lstatSync(top).mode & 0o777).toBe(0o700);
      }
      expect(lstatSync(process.execPath).uid).toBe(owner);
    },
  );

  test('as root it may connect to the sockets of others, and nothing more', () => {
    const capabilities = (name: string): unknown =>
      podSpecOf(find(objectsOf(name), 'DaemonSet'))?.containers[0]?.securityContext?.capabilities;
    const asRoot = { drop: ['ALL'], add: ['DAC_OVERRIDE'] };
    expect(capabilities('a DaemonSet with everything')).toEqual(asRoot);
    expect(capabilities('a DaemonSet as it comes')).toEqual({ drop: ['ALL'] });
  });

  test('one that hangs is killed after its own stop time, not after the VM’s', () => {
    const objects = render({
      ...{ mode: 'sidecar', image: IMAGE, stopTimeoutSeconds: 12 },
      ...{ terminationGracePeriodSeconds: 600 },
      sidecar: { pod: { create: true, vmm: { name: 'qemu', image: 'registry.example/qemu' } } },
    });
    const [container] = podSpecOf(find(objects, 'Pod', 'vmwarden'))?.initContainers ?? [];
    expect(container).toMatchObject({
      startupProbe: { terminationGracePeriodSeconds: 17 },
      livenessProbe: { terminationGracePeriodSeconds: 17 },
    });
    // The API server refuses it for readiness, which kills nothing.
    const daemonSet = podSpecOf(find(objectsOf('a DaemonSet as it comes'), 'DaemonSet'));
    expect(daemonSet?.containers[0]?.readinessProbe).toBeDefined();
    expect(daemonSet?.containers[0]?.readinessProbe).not.toHaveProperty(
      'terminationGracePeriodSeconds',
    );
  });

  test('the sidecar is up before the VMM, and never takes it out of service', () => {
    const pod = podSpecOf(find(objectsOf('a sidecar with a pod'), 'Pod', 'vmwarden'));
    const [container] = pod?.initContainers ?? [];
    expect(container).toMatchObject({
      name: 'vmwarden',
      restartPolicy: 'Always',
      startupProbe: { exec: { command: expect.arrayContaining(['healthcheck', '--live']) } },
      livenessProbe: { exec: { command: expect.arrayContaining(['healthcheck', '--live']) } },
    });
    expect(container).not.toHaveProperty('readinessProbe');
    // With Always the kubelet would undo a powerOff.
    expect(pod?.restartPolicy).toBe('OnFailure');
    const other = podSpecOf(
      find(objectsOf('a sidecar that nobody waits for, with readiness'), 'Pod', 'vmwarden'),
    );
    expect(other?.initContainers?.[0]).not.toHaveProperty('startupProbe');
    expect(other?.initContainers?.[0]).toHaveProperty('readinessProbe');
  });

  test('a host is its node or its pod, and keeps its journal as long', () => {
    const variables = (name: string, kind: string) => {
      const pod = podSpecOf(find(objectsOf(name), kind, ''));
      const container =
        pod === null ? undefined : containersOf(pod).find((c) => c.name === 'vmwarden');
      return container?.env?.find((variable) => variable.name === 'VMWARDEN_HOST')?.value;
    };
    expect(variables('a DaemonSet as it comes', 'DaemonSet')).toBe('$(NODE_NAME)');
    expect(variables('a DaemonSet with everything', 'DaemonSet')).toBe('east-$(NODE_NAME)');
    const pod = find(objectsOf('a sidecar with a pod'), 'Pod', 'vmwarden');
    expect(containersOf(podSpecOf(pod) ?? { containers: [] })[0]?.env).toContainEqual({
      name: 'VMWARDEN_HOST',
      value: '$(POD_NAMESPACE).$(POD_NAME)',
    });
    const daemonSet = podSpecOf(find(objectsOf('a DaemonSet as it comes'), 'DaemonSet'));
    expect(daemonSet?.volumes).toContainEqual({
      name: 'vmwarden-data',
      hostPath: { path: '/var/lib/vmwarden', type: 'DirectoryOrCreate' },
    });
    expect(podSpecOf(pod)?.volumes).toContainEqual({
      name: 'vmwarden-data',
      emptyDir: { sizeLimit: '6Gi' },
    });
  });

  test('its templates make the pod of a chart that depends on it, as documented', {
    timeout: RENDER_MS,
  }, () => {
    const parent = mkdtempSync(join(tmpdir(), 'vmwarden-parent-'));
    onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
    const guide = readFileSync('docs/kubernetes.md', 'utf8');
    const [, pod = ''] = /<!-- test: parent chart -->\n```yaml\n([\s\S]*?)```/.exec(guide) ?? [];
    const dependencies = [{ name: 'vmwarden', version: '*', repository: '' }];
    const chart = { apiVersion: 'v2', name: 'vm', version: '1.0.0', dependencies };
    mkdirSync(join(parent, 'templates'));
    writeFileSync(join(parent, 'Chart.yaml'), JSON.stringify(chart));
    writeFileSync(join(parent, 'templates/pod.yaml'), pod);
    cpSync(CHART, join(parent, 'charts/vmwarden'), { recursive: true });

    const values = { mode: 'sidecar', image: IMAGE, dumps: { path: '/dumps' } };
    const objects = render({ vmwarden: values }, parent);
    expect(typeProblems(objects)).toEqual([]);
    const made = podSpecOf(find(objects, 'Pod', 'web-1'));
    expect(
      made === null ? ['no pod'] : [...podProblems(made), ...restrictedProblems(made)],
    ).toEqual([]);
    expect(made?.initContainers?.[0]).toMatchObject({ name: 'vmwarden', restartPolicy: 'Always' });
  });

  test('another configuration makes other pods, another policy does not', () => {
    const checksum = (values: Record<string, unknown>): unknown => {
      const { spec } = find(render({ image: IMAGE, ...values }), 'DaemonSet') as unknown as {
        spec: { template: Rendered };
      };
      return spec.template.metadata.annotations?.['checksum/vmwarden-config'];
    };
    const policy = (name: string) => ({
      policy: { inline: `apiVersion: vmwarden.dev/v1\nmetadata: { name: ${name} }\n` },
    });
    expect(checksum(policy('a'))).toBe(checksum(policy('b')));
    expect(checksum({ stopTimeoutSeconds: 11 })).not.toBe(checksum({}));
  });

  test('lets nothing in, and out only to DNS and Redis', () => {
    const alone = find(objectsOf('a DaemonSet as it comes'), 'NetworkPolicy');
    expect(alone['spec']).toMatchObject({
      ingress: [],
      egress: [],
      policyTypes: ['Ingress', 'Egress'],
    });
    const [, redis] = (
      find(objectsOf('a DaemonSet with everything'), 'NetworkPolicy')['spec'] as {
        egress: unknown[];
      }
    ).egress;
    expect(find(objectsOf('a DaemonSet with everything'), 'NetworkPolicy')['spec']).toMatchObject({
      ingress: [{ ports: [{ protocol: 'TCP', port: 9464 }] }],
    });
    expect(redis).toEqual({
      ports: [
        { protocol: 'TCP', port: 6379 },
        { protocol: 'TCP', port: 26379 },
      ],
      to: [{ podSelector: {} }],
    });
  });

  test('lets it out to the ports that the addresses of Redis name', () => {
    const ports = (bus: Record<string, unknown>): unknown => {
      const policy = find(
        render({ image: IMAGE, bus: { enabled: true, ...bus } }),
        'NetworkPolicy',
      );
      const [, redis] = (policy['spec'] as { egress: { ports: { port: number }[] }[] }).egress;
      return redis?.ports.map(({ port }) => port);
    };
    expect(ports({ url: 'redis://redis' })).toEqual([6379]);
    expect(ports({ url: 'rediss://[fd00::1]:6380/2' })).toEqual([6379, 6380]);
    const nodes = ['s1:26379', '[fd00::1]:26380'];
    expect(ports({ sentinel: { name: 'm', nodes } })).toEqual([6379, 26379, 26380]);
    expect(ports({ cluster: { nodes: ['c1:7000', 'c2:7000'] } })).toEqual([6379, 7000]);
  });

  test('raises the alerts of docs/operations.md on metrics that vmwarden has', () => {
    const { groups } = find(objectsOf('a DaemonSet with everything'), 'PrometheusRule')['spec'] as {
      groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
    };
    const operations = readFileSync('docs/operations.md', 'utf8');
    const rules = groups[0]?.rules ?? [];
    expect(rules.map(({ alert }) => alert)).toEqual(
      [...operations.matchAll(/^### (Vmwarden\w+)$/gm)].map(([, name]) => name),
    );
    for (const { alert, expr, annotations } of rules) {
      for (const [name] of expr.matchAll(/vmwarden_\w+/g)) {
        const metric = name.replace(/_(bucket|sum|count)$/, '');
        expect(operations, alert).toContain(`| \`${metric}\` |`);
      }
      expect(expr).not.toContain('\\|');
      expect(annotations['summary']).toMatch(/^[A-Z/].*\.$/);
      expect(annotations['runbook_url']).toBe(
        `https://example/operations.md#${alert.toLowerCase()}`,
      );
    }
  });

  test('is scraped at the port that it serves', () => {
    for (const name of ['a DaemonSet with everything', 'a sidecar with metrics']) {
      const monitor = find(objectsOf(name), 'PodMonitor')['spec'];
      expect(monitor).toMatchObject({ podMetricsEndpoints: [{ port: 'vmw-metrics' }] });
      // `up{job=~".*vmwarden.*"}`, whatever nameOverride says.
      expect(JSON.stringify(monitor)).toContain('{"targetLabel":"job","replacement":"vmwarden"}');
    }
    const pod = podSpecOf(find(objectsOf('a DaemonSet with everything'), 'DaemonSet'));
    expect(pod?.containers[0]?.ports).toEqual([
      { name: 'vmw-metrics', containerPort: 9464, protocol: 'TCP' },
    ]);
    expect(pod?.containers[0]?.env).toContainEqual({
      name: 'VMWARDEN_METRICS_HOST',
      valueFrom: { fieldRef: { fieldPath: 'status.podIP' } },
    });
    const config = find(objectsOf('a DaemonSet with everything'), 'ConfigMap', '-config');
    expect(parse(dataOf(config, 'vmwarden.yaml'))).toMatchObject({
      metrics: { port: 9464, vmSeries: 100 },
    });
  });

  test('tells what to do next, in both modes', () => {
    const notes = (values: Record<string, unknown>): string => {
      const args = ['install', RELEASE, CHART, '--namespace', NAMESPACE, '--dry-run=client'];
      const result = helm(args, { image: IMAGE, ...values });
      return result.ok ? result.text.slice(result.text.indexOf('NOTES:')) : result.problem;
    };
    expect(notes({})).toContain('pod-security.kubernetes.io/enforce=privileged');
    expect(notes({})).toContain('There is no policy: vmwarden observes');
    expect(notes({ data: { kind: 'emptyDir' } })).toContain('WARNING: data.kind is emptyDir');
    expect(notes({ mode: 'sidecar' })).toContain('vmwarden.sidecar.container');
  });
});

test('the chart is of the version that it installs', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'));
  expect([chart.version, chart.appVersion]).toEqual([version, version]);
});

const dataOf = (object: Rendered, key: string): string => {
  const { [key]: text } = object['data'] as Record<string, string>;
  if (text === undefined) throw new Error(`${object.metadata.name} has no ${key}`);
  return text;
};

test('the README’s table of values is what values.yaml says', () => {
  expect(readFileSync(join(CHART, 'README.md'), 'utf8')).toBe(chartReadme());
});

test('the chart’s alerts are those of docs/operations.md', () => {
  expect(readFileSync(join(CHART, 'files/alerts.yaml'), 'utf8')).toBe(chartAlerts());
});
