/**
 * Every metric there is, in the order of docs/operations.md, which a test compares with this table and with a real
 * scrape. Base units; the values of each label are a set that the program or the policy file bounds, and never grow
 * with the number of VMs, but for `vm`, which `metrics.vmSeries` bounds.
 */
export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  /** A sentence for people. */
  readonly help: string;
  /** Upper bounds of a histogram, in seconds. */
  readonly buckets?: readonly number[];
}

/** From the event on: a good restart takes milliseconds, one that waits for its delay or its dump takes minutes. */
const EVENT_BUCKETS = [
  0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
];
const COMMIT_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const counter = (help: string, ...labels: readonly string[]) =>
  ({ type: 'counter', labels, help }) as const;
const gauge = (help: string, ...labels: readonly string[]) =>
  ({ type: 'gauge', labels, help }) as const;
const histogram = (help: string, buckets: readonly number[], ...labels: readonly string[]) =>
  ({ type: 'histogram', labels, help, buckets }) as const;

export const CATALOG = {
  vmwarden_events_total: counter(
    'Guest events in the journal, folded ones counted singly, by type, by who saw it, and by what became of it (decided, joined, burst, olderBoot).',
    'type',
    'origin',
    'disposition',
  ),
  vmwarden_event_anomalies_total: counter(
    'Oddities of events, by type of event and anomaly.',
    'type',
    'anomaly',
  ),
  vmwarden_events_folded_total: counter(
    'Events that share the record of an equal one, because their VM sent more than 10 a second.',
  ),
  vmwarden_decisions_total: counter(
    'Decisions by rule of the policy in force ("(otherwise)" when none matched, "(earlier policy)" for one that is in force no more) and answer (act, delayed, exhausted, observed, notify).',
    'rule',
    'answer',
  ),
  vmwarden_steps_total: counter(
    'Steps that ended, by verb and outcome (applied, already, unsupported, failed, unverified, cancelled).',
    'verb',
    'outcome',
  ),
  vmwarden_step_duration_seconds: histogram(
    'From the step’s intent to its outcome.',
    EVENT_BUCKETS,
    'verb',
  ),
  vmwarden_event_to_decision_seconds: histogram(
    'From the event (its source’s own time where it says one) to its durable decision.',
    EVENT_BUCKETS,
  ),
  vmwarden_event_to_act_seconds: histogram(
    'From the event to the durable intent of the first step, right before the act; delayed: it had to wait for its budget’s delay or for contact.',
    EVENT_BUCKETS,
    'delayed',
  ),
  vmwarden_event_to_recovered_seconds: histogram(
    'From the event to the proof that the guest boots or runs again; delayed: it had to wait for its budget’s delay or for contact.',
    EVENT_BUCKETS,
    'delayed',
  ),
  vmwarden_operator_acts_total: counter('What operators did through vmwarden, by verb.', 'verb'),
  vmwarden_loss_markers_total: counter(
    'Markers over what was lost: in front of the journal (intake), by the journal’s hard limit (journal), or before the fleet bus had it (bus).',
    'place',
  ),

  vmwarden_vms: gauge(
    'VMs by phase: well, waiting, acting, held, down (stopped, and nothing more is done).',
    'phase',
  ),
  vmwarden_vm_contacts: gauge(
    'VMs by contact with their VMM: connected, lost, none (nobody drives it).',
    'contact',
  ),
  vmwarden_vms_held: gauge('VMs on which nothing is done until an operator releases them.'),
  vmwarden_incidents_open: gauge('VMs with an open incident.'),
  vmwarden_steps_waiting: gauge('Steps that wait for their delay, for contact, or for a retry.'),
  vmwarden_next_attempt_timestamp_seconds: gauge(
    'When the next waiting step is due, Unix time; absent when none waits.',
  ),
  vmwarden_budget_attempts_left_min: gauge(
    'Attempts left to the VM that has the fewest, by budget of the policy.',
    'budget',
  ),
  vmwarden_budget_exhausted_vms: gauge('VMs without an attempt left, by budget.', 'budget'),
  vmwarden_vm_budget_attempts_left: gauge(
    'Attempts left, of the VMs with the fewest that used any; at most metrics.vmSeries series.',
    'vm',
    'budget',
  ),
  vmwarden_vm_series_omitted: gauge('Series of single VMs that metrics.vmSeries kept out.'),

  vmwarden_journal_records: gauge('Records in the journal.'),
  vmwarden_journal_newest_sequence: gauge(
    'Sequence of the newest durable record; rises by one for each.',
  ),
  vmwarden_journal_used_bytes: gauge('Pages in use; the file itself never shrinks.'),
  vmwarden_journal_record_bytes: gauge('What of that records take; retention goes by it.'),
  vmwarden_journal_free_bytes: gauge('Free space on the journal’s file system.'),
  vmwarden_journal_reserve_bytes: gauge('Events are refused below this much free space.'),
  vmwarden_journal_retention_bytes: gauge('Records that nothing needs are dropped above this.'),
  vmwarden_journal_hard_limit_bytes: gauge('Records are dropped though needed above this.'),
  vmwarden_journal_refusing: gauge('1: events are refused at the moment.'),
  vmwarden_journal_commit_waiting_seconds: gauge(
    'Since when the oldest commit under way waits for the disk; 0: none does.',
  ),
  vmwarden_journal_commit_seconds: histogram(
    'From the append to the durable commit, by kind (ingest, outcome).',
    COMMIT_BUCKETS,
    'kind',
  ),
  vmwarden_journal_commit_failures_total: counter(
    'Commits that did not become durable, by reason.',
    'reason',
  ),

  vmwarden_bus_state: gauge(
    '1 for the state that the relay to the fleet bus is in: connecting, relaying, waiting, stopped. Absent with bus.kind local, like all of the bus.',
    'state',
  ),
  vmwarden_bus_lag_records: gauge('Durable records that the bus is not known to have.'),
  vmwarden_bus_lag_seconds: gauge('Age of the oldest of them; 0 when there is none.'),
  vmwarden_bus_published_sequence: gauge(
    'The last sequence that the bus is known to have; absent before it was asked.',
  ),
  vmwarden_bus_failures_total: counter('Times that the relay had to wait, by reason.', 'reason'),
  vmwarden_bus_warnings: gauge('What an operator should know of the bus though it works.'),
  vmwarden_bus_readers_at_risk: gauge(
    "Consumer groups of this host's partition that trimming is about to take records from; also among the warnings.",
  ),
  vmwarden_bus_reader_risk: gauge(
    'How far the worst of them is on its way there, 0.8 to 1 and beyond of the age or length that is kept; 0: none is.',
  ),

  vmwarden_dump_bytes_total: counter('Bytes of the dumps that were written.'),
  vmwarden_dumps_files: gauge('Files below the directory of dumps.'),
  vmwarden_dumps_bytes: gauge('What they take.'),
  vmwarden_dumps_free_bytes: gauge('Free space on the file system of dumps.'),

  vmwarden_ready: gauge('1: in service; the same as /readyz and the gRPC health service.'),
  vmwarden_health_reasons: gauge('Parts that are degraded or down; /readyz names them.'),
  vmwarden_policy_info: gauge('1; the policy in force.', 'name', 'hash', 'mode'),
  vmwarden_policy_loaded_timestamp_seconds: gauge(
    'Since when the policy in force is in force, Unix time.',
  ),
  vmwarden_policy_last_reload_failed: gauge(
    '1: the policy file is broken now, and the last good one stays.',
  ),
  vmwarden_grpc_requests_total: counter(
    'gRPC calls that ended, by method and status; those of methods that are not there are not counted.',
    'method',
    'code',
  ),
  vmwarden_collect_failures_total: counter(
    'Groups of metrics that a scrape could not take, and left out.',
    'group',
  ),
  vmwarden_event_loop_active_seconds_total: counter(
    'Time that the event loop was busy; its rate is the utilization.',
  ),
  vmwarden_build_info: gauge('1; what runs.', 'version'),
  process_cpu_seconds_total: counter('User and system time of all threads.'),
  process_resident_memory_bytes: gauge('Resident memory.'),
  process_start_time_seconds: gauge('Start of the process, Unix time.'),
  process_open_fds: gauge('Open file descriptors.'),
  process_max_fds: gauge('Their limit.'),
  nodejs_heap_size_used_bytes: gauge('V8’s heap in use.'),
  nodejs_heap_size_total_bytes: gauge('V8’s heap.'),
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof CATALOG;

type OfType<Type extends MetricSpec['type']> = {
  [Name in MetricName]: (typeof CATALOG)[Name]['type'] extends Type ? Name : never;
}[MetricName];

export type CounterName = OfType<'counter'>;
export type GaugeName = OfType<'gauge'>;
export type HistogramName = OfType<'histogram'>;
