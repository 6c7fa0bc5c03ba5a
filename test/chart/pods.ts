import type { Container, PodSpec, Volume } from 'kubernetes-types/core/v1.js';
import type { Rendered } from './helm.js';

/** What the object runs; null: it runs nothing. The type is checked by `typeProblems`. */
export const podSpecOf = ({ kind, ...object }: Rendered): PodSpec | null => {
  if (kind === 'Pod') return object['spec'] as PodSpec;
  if (kind !== 'DaemonSet') return null;
  return (object['spec'] as { template: { spec: PodSpec } }).template.spec;
};

export const containersOf = (pod: PodSpec): readonly Container[] => [
  ...(pod.initContainers ?? []),
  ...pod.containers,
];

/** What the schema can't say of a pod, and the API server or the kubelet would. */
export const podProblems = (pod: PodSpec): readonly string[] => {
  const volumes = (pod.volumes ?? []).map(({ name }) => name);
  const containers = containersOf(pod);
  const mounted = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map((m) => m.name));
  return [
    ...twice(
      'container',
      containers.map(({ name }) => name),
    ),
    ...twice('volume', volumes),
    ...mounted.filter((name) => !volumes.includes(name)).map((name) => `no volume ${name}`),
    ...volumes.filter((name) => !mounted.includes(name)).map((name) => `nobody mounts ${name}`),
    ...containers.flatMap(({ name, volumeMounts = [], env = [] }) => [
      ...twice(
        `mount of ${name} at`,
        volumeMounts.map(({ mountPath }) => mountPath),
      ),
      ...twice(
        `variable of ${name}`,
        env.map((variable) => variable.name),
      ),
      ...env.flatMap(({ value = '' }, at) => undefinedReferences(value, env.slice(0, at))),
    ]),
  ];
};

const twice = (what: string, names: readonly string[]): string[] =>
  names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${what} ${name} twice`);

/** `$(NAME)` is replaced only where NAME is defined before it; else it stays as it is written. */
const undefinedReferences = (value: string, before: readonly { readonly name: string }[]) =>
  [...value.matchAll(/\$\((\w+)\)/g)].flatMap(([whole, name]) =>
    before.some((variable) => variable.name === name) ? [] : [`${whole} is not defined before`],
  );

const RESTRICTED_VOLUMES: readonly (keyof Volume)[] = [
  'name',
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

/**
 * Why a namespace that enforces the `restricted` Pod Security Standard would refuse the pod:
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
 */
export const restrictedProblems = (pod: PodSpec): readonly string[] => {
  const problems: string[] = [];
  const refuse = (when: boolean, why: string): void => {
    if (when) problems.push(why);
  };
  refuse(pod.hostNetwork === true, 'hostNetwork');
  refuse(pod.hostPID === true, 'hostPID');
  refuse(pod.hostIPC === true, 'hostIPC');
  refuse(pod.securityContext?.sysctls !== undefined, 'sysctls');
  refuse(pod.securityContext?.seLinuxOptions !== undefined, 'seLinuxOptions');
  refuse(pod.securityContext?.runAsUser === 0, 'runAsUser 0');
  for (const volume of pod.volumes ?? []) {
    for (const kind of Object.keys(volume)) {
      refuse(
        !RESTRICTED_VOLUMES.some((allowed) => allowed === kind),
        `volume ${volume.name}: ${kind}`,
      );
    }
  }
  for (const { name, ports = [], securityContext: own = {} } of containersOf(pod)) {
    const whole = pod.securityContext ?? {};
    const { add = [], drop = [] } = own.capabilities ?? {};
    const seccomp = (own.seccompProfile ?? whole.seccompProfile)?.type;
    refuse(
      ports.some(({ hostPort }) => hostPort !== undefined),
      `${name}: hostPort`,
    );
    refuse(own.privileged === true, `${name}: privileged`);
    refuse(own.procMount !== undefined, `${name}: procMount`);
    refuse(own.seLinuxOptions !== undefined, `${name}: seLinuxOptions`);
    refuse(own.allowPrivilegeEscalation !== false, `${name}: allowPrivilegeEscalation`);
    refuse(!drop.includes('ALL'), `${name}: capabilities not dropped`);
    refuse(
      add.some((capability) => capability !== 'NET_BIND_SERVICE'),
      `${name}: capabilities added: ${add.join(', ')}`,
    );
    refuse((own.runAsNonRoot ?? whole.runAsNonRoot) !== true, `${name}: runAsNonRoot`);
    refuse(own.runAsUser === 0, `${name}: runAsUser 0`);
    refuse(seccomp !== 'RuntimeDefault' && seccomp !== 'Localhost', `${name}: seccompProfile`);
  }
  return problems;
};
