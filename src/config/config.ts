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
  /** Only `local` in this version: the journal itself, read by WatchRecords. */
  readonly bus: { readonly kind: 'local' };
  readonly dumps: { readonly dir: string };
  readonly vms: readonly VmConfig[];
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

export interface VmConfig {
  readonly id: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly driver: DriverConfig;
  /** Let the VMM wait for vmwarden where the policy answers differently from it. Default false. */
  readonly takeOver: boolean;
  /** What the VMM is set to when take-over ends. */
  readonly release: ReleaseConfig;
}

/** `socket`: a QMP unix socket of vmwarden's own. */
export type DriverConfig =
  | { readonly kind: 'qemu'; readonly socket: string }
  | { readonly kind: 'observe' };

/** QEMU's `set-action` words. Defaults: panic shutdown, shutdown poweroff, watchdog reset, reboot reset. */
export interface ReleaseConfig {
  readonly panic: 'pause' | 'shutdown' | 'exit-failure' | 'none';
  readonly shutdown: 'poweroff' | 'pause';
  readonly watchdog: 'reset' | 'shutdown' | 'poweroff' | 'pause' | 'debug' | 'none' | 'inject-nmi';
  readonly reboot: 'reset' | 'shutdown';
}
