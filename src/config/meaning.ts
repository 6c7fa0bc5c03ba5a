import { formatSize } from '../lib/size.js';
import { MAX_SOCKET_PATH } from '../lib/socket-path.js';
import { printable } from '../policy/problem.js';
import { busFindings, busOf } from './bus-meaning.js';
import type { Config, MetricsConfig, VmConfig } from './config.js';
import { discoverFindings, discoverOf } from './discover-meaning.js';
import { type Finding, finding, formatPath, type Path } from './problem.js';
import { releaseOf } from './release-meaning.js';
import type { WrittenConfig } from './schema.js';

export interface MeaningContext {
  /** Absolute path of what stands at a place of the document. */
  readonly resolve: (path: Path, text: string) => string;
  readonly hostName: string;
}

export interface Meaning {
  /** null: `written` was. */
  readonly config: Config | null;
  readonly findings: readonly Finding[];
}

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const SECOND = 1000;
const DAY = 86_400_000;

/**
 * Defaults filled in, paths made absolute, and what no single value shows: VMs that are there twice, sockets that
 * two use, limits that contradict. VMs are compared as they are written, so that it is told with all other problems.
 */
export const meaning = (
  document: unknown,
  written: WrittenConfig | null,
  context: MeaningContext,
): Meaning => {
  const config = written === null ? null : configOf(written, context);
  const bus = written?.bus === undefined ? [] : busFindings(written.bus);
  const metrics = metricsFindings(written?.metrics);
  return {
    config,
    findings: [
      ...vmFindings(document, context),
      ...discoverFindings(document),
      ...limits(config),
      ...bus,
      ...metrics,
    ],
  };
};

const configOf = (written: WrittenConfig, { resolve, hostName }: MeaningContext): Config => {
  const at = (path: string, text: string): string => resolve(path.split('.'), text);
  const dataDir = at('dataDir', written.dataDir ?? '.vmwarden');
  const socket = written.listen?.socket;
  const policyFile = written.policy?.file;
  const dumpsDir = written.dumps?.dir;
  return {
    host: written.host ?? hostName,
    dataDir,
    socket: socket === undefined ? `${dataDir}/vmwarden.sock` : at('listen.socket', socket),
    policyFile: policyFile === undefined ? null : at('policy.file', policyFile),
    log: { level: written.log?.level ?? 'info', format: written.log?.format ?? 'auto' },
    journal: {
      maxAgeMs: written.journal?.retention?.age ?? 30 * DAY,
      maxBytes: written.journal?.retention?.size ?? GiB,
      hardMaxBytes: written.journal?.hardLimit ?? 4 * GiB,
      reserveBytes: written.journal?.reserve ?? 64 * MiB,
    },
    // Without a place it is found to be wrong, so nobody sees this one.
    bus: busOf(written.bus ?? {}, at) ?? { kind: 'local' },
    dumps: { dir: dumpsDir === undefined ? `${dataDir}/dumps` : at('dumps.dir', dumpsDir) },
    metrics: metricsOf(written.metrics),
    vms: (written.vms ?? []).map((vm, index) => vmOf(vm, index, resolve)),
    discover: (written.discover ?? []).map((one, index) => discoverOf(one, index, resolve)),
    stopTimeoutMs: written.stopTimeout ?? 10 * SECOND,
  };
};

const metricsOf = (written: WrittenConfig['metrics']): MetricsConfig | null =>
  written?.port === undefined
    ? null
    : {
        host: written.host ?? '127.0.0.1',
        port: written.port,
        vmSeries: written.vmSeries ?? 100,
      };

/** What is said of metrics that nobody serves was meant to do something. */
const metricsFindings = (written: WrittenConfig['metrics']): Finding[] =>
  written === undefined || written.port !== undefined
    ? []
    : Object.keys(written).map((key) => ({
        ...finding(['metrics', key], 'means nothing without metrics.port', 'set metrics.port'),
        part: 'key',
      }));

const vmOf = (
  vm: NonNullable<WrittenConfig['vms']>[number],
  index: number,
  resolve: MeaningContext['resolve'],
): VmConfig => ({
  id: vm.id,
  uid: vm.uid ?? '',
  labels: vm.labels ?? {},
  driver:
    vm.driver.kind === 'qemu'
      ? { kind: 'qemu', socket: resolve(['vms', index, 'driver', 'socket'], vm.driver.socket) }
      : { kind: vm.driver.kind },
  takeOver: vm.takeOver ?? false,
  release: releaseOf(vm.release),
});

const limits = (config: Config | null): Finding[] => {
  if (config === null) return [];
  const { maxBytes, hardMaxBytes } = config.journal;
  const found = tooLong(['listen', 'socket'], config.socket);
  if (hardMaxBytes >= maxBytes) return found;
  const message = `got ${formatSize(hardMaxBytes)}, expected at least journal.retention.size, ${formatSize(maxBytes)}`;
  return [...found, finding(['journal', 'hardLimit'], message)];
};

const vmFindings = (document: unknown, { resolve }: MeaningContext): Finding[] => {
  const vms = field(document, 'vms');
  if (!Array.isArray(vms)) return [];
  const ids = new Map<string, Path>();
  const sockets = new Map<string, Path>();
  return vms.flatMap((vm: unknown, index) => {
    const id = field(vm, 'id');
    const socket = field(field(vm, 'driver'), 'socket');
    const found: Finding[] = [];
    if (typeof id === 'string') found.push(...again(ids, id, ['vms', index, 'id']));
    if (typeof socket === 'string') {
      const path: Path = ['vms', index, 'driver', 'socket'];
      const absolute = resolve(path, socket);
      found.push(...tooLong(path, absolute), ...again(sockets, absolute, path));
    }
    return found;
  });
};

const again = (seen: Map<string, Path>, value: string, path: Path): Finding[] => {
  const first = seen.get(value);
  if (first !== undefined) {
    return [
      finding(path, `${printable(value)} is ${formatPath(first)} already; expected another one`),
    ];
  }
  seen.set(value, path);
  return [];
};

const tooLong = (path: Path, socket: string): Finding[] => {
  const bytes = Buffer.byteLength(socket);
  if (bytes <= MAX_SOCKET_PATH) return [];
  const message = `the path of a unix socket has at most ${MAX_SOCKET_PATH} bytes, this one ${bytes}`;
  return [finding(path, message, socket)];
};

const field = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
