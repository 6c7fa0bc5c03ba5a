import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CHART, type Values } from './helm.js';

const image = { repository: 'registry.example/vmwarden' };
const vmm = { name: 'qemu', image: 'registry.example/qemu:7.2' };
const policy = {
  inline: `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: test }
spec:
  mode: observe
  otherwise: [notify]
`,
};
const sidecar = { mode: 'sidecar', image };
const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

const buses = {
  'a URL': { url: 'redis://redis:6379' },
  'a URL with TLS and a password': {
    url: 'rediss://redis:6379',
    username: 'vmwarden',
    existingSecret: 'redis',
    passwordKey: 'pass',
    tls: { existingSecret: 'redis-tls', clientCertificate: true, serverName: 'redis.example' },
    trim: { age: '7d', length: 50_000 },
  },
  Sentinels: {
    sentinel: { name: 'mymaster', nodes: ['s1:26379', 's2:26379'] },
    existingSecret: 'redis',
    minReplicas: 1,
    tls: { enabled: true },
  },
  'a Cluster and cert-manager': {
    cluster: { nodes: ['c1:6379'] },
    tls: { certManager: { enabled: true, issuerRef: { name: 'ca', kind: 'ClusterIssuer' } } },
  },
} as const;

/** Every example of the chart. */
export const EXAMPLES: readonly string[] = readdirSync(join(CHART, 'examples')).map((name) =>
  join(CHART, 'examples', name),
);

/** Values that must render, by what they are about. */
export const MATRIX: readonly (readonly [string, Values])[] = [
  ['a DaemonSet as it comes', { image }],
  ['a sidecar as it comes', sidecar],
  ['a DaemonSet with a policy', { image, policy }],
  ['a policy of the operator', { image, policy: { existingConfigMap: 'mine', key: 'p.yaml' } }],
  ['a sidecar with a pod', { ...sidecar, policy, sidecar: { pod: { create: true, vmm } } }],
  [
    'a sidecar that nobody waits for, with readiness',
    {
      ...sidecar,
      dumps: { path: '/dumps' },
      user: { uid: 107, gid: 107 },
      sidecar: { vmmWaits: false, readiness: true, pod: { create: true, vmm } },
    },
  ],
  ...(['daemonset', 'sidecar'] as const).flatMap((mode) =>
    Object.entries(buses).map(
      ([name, bus]) =>
        [`${mode}, ${name}`, { mode, image, bus: { enabled: true, ...bus } }] as const,
    ),
  ),
  [
    'a DaemonSet that finds its VMs',
    {
      image,
      policy,
      sockets: { path: '/run/vms' },
      discover: [
        {
          driver: { kind: 'qemu', socket: '/run/vms/{tier}/{id}.sock' },
          uid: '{tier}-{id}',
          labels: { tier: '{tier}' },
          takeOver: true,
          release: { panic: 'pause' },
          owners: [107],
          retireAfter: '6h',
        },
      ],
    },
  ],
  [
    'a DaemonSet with everything',
    {
      image: { ...image, digest, pullPolicy: 'Always', pullSecrets: [{ name: 'registry' }] },
      nameOverride: 'warden',
      commonLabels: { team: 'virt' },
      config: { log: { level: 'debug', format: 'json' }, vms: [] },
      policy,
      host: { prefix: 'east-' },
      data: { path: '/data/vmwarden', prepare: false },
      sockets: { path: '/run/qemu' },
      dumps: { path: '/dumps' },
      user: { uid: 0, gid: 0 },
      hostPID: true,
      serviceAccount: { create: false, name: 'mine' },
      networkPolicy: { redisPeers: [{ podSelector: {} }], redisPorts: [6379, 26379] },
      bus: { enabled: true, url: 'redis://redis:6379' },
      metrics: {
        enabled: true,
        podMonitor: { enabled: true, labels: { release: 'prometheus' } },
        prometheusRule: {
          enabled: true,
          labels: { release: 'prometheus' },
          runbookUrl: 'https://example/operations.md',
        },
      },
      priorityClass: { name: 'vmwarden', create: true },
      podAnnotations: { a: 'b' },
      podLabels: { c: 'd' },
      tolerations: [{ operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      extraEnv: [{ name: 'VMWARDEN_LOG_LEVEL', value: 'debug' }],
      extraVolumes: [{ name: 'more', emptyDir: {} }],
      extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
    },
  ],
  [
    'a sidecar with metrics',
    { ...sidecar, metrics: { enabled: true, podMonitor: { enabled: true } } },
  ],
  [
    'a DaemonSet on emptyDir',
    { image, data: { kind: 'emptyDir' }, networkPolicy: { enabled: false } },
  ],
  ...EXAMPLES.map((path) => [path, path] as const),
];

/** Values that must be refused, and a part of what is said. */
export const REFUSED: readonly (readonly [string, Values, string])[] = [
  ['no image', {}, 'image.repository: say where the image of vmwarden was pushed to'],
  ['an unknown mode', { image, mode: 'deployment' }, "'/mode'"],
  ['a misspelt key', { image, hostPid: true }, "'hostPid'"],
  ['a misspelt inner key', { image, bus: { enabled: true, uri: 'redis://r:1' } }, "'uri'"],
  ['a wrong type', { image, hostPID: 'yes' }, "'/hostPID'"],
  ['a tag with a digest in it', { image: { ...image, digest: 'sha256:12' } }, "'/image/digest'"],
  ['a relative path', { image, sockets: { path: 'run/vms' } }, "'/sockets/path'"],
  [
    'a password in the URL',
    { image, bus: { enabled: true, url: 'redis://u:p@r:1' } },
    "'/bus/url'",
  ],
  [
    'no place of Redis',
    { image, bus: { enabled: true } },
    'bus: expected one of url, sentinel, cluster, got none',
  ],
  [
    'two places of Redis',
    { image, bus: { enabled: true, url: 'redis://r:1', cluster: { nodes: ['c:1'] } } },
    'got url, cluster',
  ],
  [
    'a user without a password',
    { image, bus: { enabled: true, url: 'redis://r:1', username: 'u' } },
    'bus.username: expected bus.existingSecret',
  ],
  [
    'two sources of certificates',
    {
      image,
      bus: {
        enabled: true,
        url: 'rediss://r:1',
        tls: { existingSecret: 's', certManager: { enabled: true, issuerRef: { name: 'ca' } } },
      },
    },
    'bus.tls: existingSecret and certManager.enabled are both set',
  ],
  [
    'cert-manager without an issuer',
    { image, bus: { enabled: true, url: 'rediss://r:1', tls: { certManager: { enabled: true } } } },
    'bus.tls.certManager.issuerRef: is missing',
  ],
  [
    'a grace period that cuts the drain off',
    { image, stopTimeoutSeconds: 30 },
    'terminationGracePeriodSeconds: got 30, expected at least 35',
  ],
  [
    'what the chart sets itself',
    { image, config: { dataDir: '/x' } },
    'config.dataDir: the chart sets it',
  ],
  [
    'patterns in two places',
    { image, config: { discover: [] } },
    'config.discover: the value discover sets it',
  ],
  [
    'a pattern that nothing is mounted for',
    { image, discover: [{ driver: { kind: 'qemu', socket: '/elsewhere/{id}' } }] },
    'discover[0].driver.socket: got /elsewhere/{id}, expected a path below sockets.path',
  ],
  [
    'a pattern in a VM’s pod',
    { ...sidecar, discover: [{ driver: { kind: 'qemu', socket: '/run/vmwarden-vms/{id}' } }] },
    'discover: it is for the DaemonSet',
  ],
  [
    'two policies',
    { image, policy: { inline: 'a: b', existingConfigMap: 'mine' } },
    'policy: inline and existingConfigMap are both set',
  ],
  [
    'a node’s directory in a pod',
    { ...sidecar, data: { kind: 'hostPath' } },
    'data.kind: hostPath is for the DaemonSet',
  ],
  ['root in a sidecar', { ...sidecar, user: { uid: 0, gid: 0 } }, 'user.uid: got 0'],
  [
    'a node’s processes in a sidecar',
    { ...sidecar, hostPID: true },
    'hostPID: it is for the DaemonSet',
  ],
  [
    'a pod without a VMM',
    { ...sidecar, sidecar: { pod: { create: true } } },
    'sidecar.pod.vmm: is missing',
  ],
  [
    'a VM’s pod of a DaemonSet',
    { image, sidecar: { pod: { create: true, vmm } } },
    'sidecar.pod.create: expected mode sidecar',
  ],
  [
    'a scrape of nothing',
    { image, metrics: { podMonitor: { enabled: true } } },
    'metrics.podMonitor.enabled: expected metrics.enabled',
  ],
  [
    'a priority class without a name',
    { image, priorityClass: { create: true } },
    'priorityClass.name: is missing',
  ],
  [
    'two writers of one journal',
    { image, updateStrategy: { rollingUpdate: { maxSurge: 1 } } },
    'maxSurge',
  ],
];
