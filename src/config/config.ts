import type { PathTemplate } from '../lib/path-template.js';

/**
 * The whole configuration after file, environment and flags were merged, defaulted and checked.
 * Paths are absolute, durations are milliseconds, sizes are bytes.
 */
export interface Config {
  /** Name of this host in every record's identity; default: the host's name. */
  readonly host: string;
  /** Journal, socket and dumps live here unless said otherwise. Default `./.vmwarden`. */
  readonly dataDir: string;
  /** Unix socket of the gRPC server. Default `<dataDir>/vmwarden.sock`. */
  readonly socket: string;
  /** The operator's policy; null: observe only. */
  readonly policyFile: string | null;
  readonly log: { readonly level: LogLevel; readonly format: 'auto' | 'json' | 'pretty' };
  readonly journal: JournalConfig;
  readonly bus: BusConfig;
  readonly dumps: { readonly dir: string };
  /** Probes and metrics over HTTP; null: none. */
  readonly metrics: MetricsConfig | null;
  readonly vms: readonly VmConfig[];
  /** Where VMs are found by their VMMs' sockets; the first that matches one counts. */
  readonly discover: readonly DiscoverConfig[];
  /** How long a graceful stop may take in all. Default 10 s. */
  readonly stopTimeoutMs: number;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

export interface JournalConfig {
  /** Records older than this are dropped when nothing needs them. Default 30 d. */
  readonly maxAgeMs: number;
  /** Records take more than this: the oldest records that nothing needs are dropped. Default 1 GiB. */
  readonly maxBytes: number;
  /** Above this records are dropped though something needs them, with a loss marker. Default 4 GiB. */
  readonly hardMaxBytes: number;
  /** Ingest is refused below this much free space. Default 64 MiB. */
  readonly reserveBytes: number;
}

export interface MetricsConfig {
  /** Default 127.0.0.1. */
  readonly host: string;
  readonly port: number;
  /** Series that name a single VM, at most. Default 100. */
  readonly vmSeries: number;
}

/** `local`: the journal itself, read by WatchRecords. Default. */
export type BusConfig = { readonly kind: 'local' } | RedisBusConfig;

export interface RedisBusConfig {
  readonly kind: 'redis';
  /** Hosts of one fleet share their streams. Default `default`. */
  readonly fleet: string;
  readonly at: RedisPlace;
  readonly tls: RedisTls | null;
  /** null: the default user. */
  readonly username: string | null;
  /** Read at every connect, and again when it changed. */
  readonly passwordFile: string | null;
  /** Streams that the fleet is spread over; all hosts say the same. Default 64. */
  readonly partitions: number;
  /** A record counts as published once so many replicas have it. Default 0. */
  readonly minReplicas: number;
  readonly trim: {
    /** Entries older than this are dropped from the streams. Default 7 d. */
    readonly maxAgeMs: number;
    /** Per partition, the oldest entries above this are dropped. Default 100,000. */
    readonly maxLength: number;
  };
}

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export type RedisPlace =
  | { readonly kind: 'single'; readonly host: string; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string }
  | {
      readonly kind: 'sentinel';
      readonly name: string;
      readonly addresses: readonly RedisAddress[];
      /** For the Sentinels themselves, which have users of their own; absent: they want none. */
      readonly username?: string | null;
      readonly passwordFile?: string | null;
    }
  | { readonly kind: 'cluster'; readonly addresses: readonly RedisAddress[] };

/** PEM files, read at every connect and again when one changed; null `ca`: the system's certificates are trusted. */
export interface RedisTls {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** The name in the server's certificate, when it isn't the address. */
  readonly serverName: string | null;
}

export interface VmConfig {
  readonly id: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly driver: DriverConfig;
  /** Let the VMM wait for vmwarden where the policy answers differently from it. Default false. */
  readonly takeOver: boolean;
  /** What the VMM is set to when take-over ends. */
  readonly release: ReleaseConfig;
  /**
   * Users that its socket, and the directory of it, may belong to: it was found, not named. Absent: whoever owns it, the
   * operator has named it.
   */
  readonly socketOwners?: readonly number[];
}

/** VMs that are there when a socket is. Texts have `{name}` for parts of its path. */
export interface DiscoverConfig {
  /** Absolute. */
  readonly driver: { readonly kind: 'qemu'; readonly socket: PathTemplate };
  /** Default `{id}`. */
  readonly id: string;
  /** Default: none. */
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly takeOver: boolean;
  readonly release: ReleaseConfig;
  /** Users besides root and vmwarden's own that sockets may belong to. */
  readonly owners: readonly number[];
  /** A VM whose socket is gone, or whose VMM has ended, is no longer listed after so long. Default 1 h. */
  readonly retireAfterMs: number;
}

/** `socket`: a QMP unix socket of vmwarden's own. `agent`: an agent attaches over gRPC. */
export type DriverConfig =
  | { readonly kind: 'qemu'; readonly socket: string }
  | { readonly kind: 'agent' }
  | { readonly kind: 'observe' };

/** QEMU's `set-action` words. Defaults: panic shutdown, shutdown poweroff, watchdog reset, reboot reset. */
export interface ReleaseConfig {
  readonly panic: 'pause' | 'shutdown' | 'exit-failure' | 'none';
  readonly shutdown: 'poweroff' | 'pause';
  readonly watchdog: 'reset' | 'shutdown' | 'poweroff' | 'pause' | 'debug' | 'none' | 'inject-nmi';
  readonly reboot: 'reset' | 'shutdown';
}
