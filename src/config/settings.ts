/**
 * What environment and flags can say of the configuration. Both go over what the file says, flags over
 * the environment; lists (the VMs) are the file's alone.
 */
export interface Setting {
  /** Where it stands in the file. */
  readonly path: readonly string[];
  readonly environment: string;
  /** Long flag without the dashes. */
  readonly flag: string;
  /** Name of the value in a flag's help. */
  readonly placeholder: string;
  readonly description: string;
}

export const CONFIG_FILE_ENVIRONMENT = 'VMWARDEN_CONFIG';

const setting = (
  path: string,
  environment: string,
  flag: string,
  placeholder: string,
  description: string,
): Setting => ({ path: path.split('.'), environment, flag, placeholder, description });

export const SETTINGS: readonly Setting[] = [
  setting('host', 'VMWARDEN_HOST', 'host', 'NAME', "this host's name (default: the system's)"),
  setting(
    'dataDir',
    'VMWARDEN_DATA_DIR',
    'data-dir',
    'DIR',
    'journal, socket and dumps (default: .vmwarden)',
  ),
  setting(
    'listen.socket',
    'VMWARDEN_LISTEN_SOCKET',
    'socket',
    'PATH',
    'unix socket of the gRPC server (default: vmwarden.sock in the data directory)',
  ),
  setting(
    'policy.file',
    'VMWARDEN_POLICY_FILE',
    'policy',
    'FILE',
    'what to do about events (default: observe only)',
  ),
  setting(
    'log.level',
    'VMWARDEN_LOG_LEVEL',
    'log-level',
    'LEVEL',
    'trace, debug, info, warn or error (default: info)',
  ),
  setting(
    'log.format',
    'VMWARDEN_LOG_FORMAT',
    'log-format',
    'FORMAT',
    'auto, json or pretty (default: auto)',
  ),
  setting(
    'journal.retention.age',
    'VMWARDEN_JOURNAL_RETENTION_AGE',
    'journal-retention-age',
    'DURATION',
    'keep records this long (default: 30d)',
  ),
  setting(
    'journal.retention.size',
    'VMWARDEN_JOURNAL_RETENTION_SIZE',
    'journal-retention-size',
    'SIZE',
    'keep this much (default: 1GiB)',
  ),
  setting(
    'journal.hardLimit',
    'VMWARDEN_JOURNAL_HARD_LIMIT',
    'journal-hard-limit',
    'SIZE',
    'drop even what is needed above this (default: 4GiB)',
  ),
  setting(
    'journal.reserve',
    'VMWARDEN_JOURNAL_RESERVE',
    'journal-reserve',
    'SIZE',
    'refuse events below this much free space (default: 64MiB)',
  ),
  setting(
    'bus.kind',
    'VMWARDEN_BUS_KIND',
    'bus',
    'KIND',
    'where the fleet reads records: local or redis (default: redis where one is named, else local)',
  ),
  setting(
    'bus.url',
    'VMWARDEN_BUS_URL',
    'bus-url',
    'URL',
    "redis://HOST:PORT, rediss://HOST:PORT or a unix socket's path",
  ),
  setting(
    'bus.sentinel.nodes',
    'VMWARDEN_BUS_SENTINELS',
    'bus-sentinels',
    'HOST:PORT,...',
    'Sentinels, in place of a URL',
  ),
  setting(
    'bus.sentinel.name',
    'VMWARDEN_BUS_MASTER',
    'bus-master',
    'NAME',
    "the Sentinels' name of the master (default: mymaster)",
  ),
  setting(
    'bus.cluster.nodes',
    'VMWARDEN_BUS_CLUSTER',
    'bus-cluster',
    'HOST:PORT,...',
    'nodes of a Redis Cluster, in place of a URL',
  ),
  setting(
    'bus.username',
    'VMWARDEN_BUS_USERNAME',
    'bus-username',
    'NAME',
    'ACL user (default: the default user)',
  ),
  setting(
    'bus.passwordFile',
    'VMWARDEN_BUS_PASSWORD_FILE',
    'bus-password-file',
    'FILE',
    'its password',
  ),
  setting(
    'bus.tls.ca',
    'VMWARDEN_BUS_TLS_CA',
    'bus-tls-ca',
    'FILE',
    "certificates to trust (default: the system's)",
  ),
  setting('bus.tls.cert', 'VMWARDEN_BUS_TLS_CERT', 'bus-tls-cert', 'FILE', 'client certificate'),
  setting('bus.tls.key', 'VMWARDEN_BUS_TLS_KEY', 'bus-tls-key', 'FILE', 'its key'),
  setting(
    'bus.fleet',
    'VMWARDEN_BUS_FLEET',
    'bus-fleet',
    'NAME',
    'hosts of one fleet share streams (default: default)',
  ),
  setting(
    'dumps.dir',
    'VMWARDEN_DUMPS_DIR',
    'dumps-dir',
    'DIR',
    "guests' dumps (default: dumps in the data directory)",
  ),
  setting(
    'metrics.host',
    'VMWARDEN_METRICS_HOST',
    'metrics-host',
    'ADDRESS',
    'where probes and metrics are served (default: 127.0.0.1)',
  ),
  setting(
    'metrics.port',
    'VMWARDEN_METRICS_PORT',
    'metrics-port',
    'PORT',
    'port of /livez, /readyz and /metrics (default: none are served)',
  ),
  setting(
    'stopTimeout',
    'VMWARDEN_STOP_TIMEOUT',
    'stop-timeout',
    'DURATION',
    'a graceful stop takes at most this long (default: 10s)',
  ),
];
