import type { Fleet, HostStatus } from '../fleet/fleet.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { styleOf } from './style.js';
import { table } from './table.js';

/** Prints every host that ever published, and how far the groups are behind it. */
export const fleetHosts = async (
  io: Io,
  fleet: Fleet,
  options: { readonly json?: boolean },
): Promise<number> => {
  const hosts = await fleet.hosts();
  if (options.json === true) {
    for (const host of hosts) await printJson(io.stdout, hostJson(host));
    return GOOD;
  }
  if (hosts.length === 0) {
    await printLine(io.stdout, 'No host has published.');
    return GOOD;
  }
  const style = styleOf(io.stdout, io.env);
  const [head = '', ...rows] = table([HEAD, ...hosts.map(row)]);
  await printLine(io.stdout, style('bold', head));
  for (const [index, line] of rows.entries()) {
    await printLine(io.stdout, isWell(hosts[index]) ? line : style('yellow', line));
  }
  return GOOD;
};

const isWell = (host: HostStatus | undefined): boolean =>
  host?.state !== 'silent' &&
  host?.hasRival === false &&
  host.gaps.every(({ reason }) => reason !== null);

const HEAD = ['HOST', 'STATE', 'HEARTBEAT', 'SEQUENCE', 'NEWEST', 'PARTITION', 'GAPS', 'GROUPS'];

const row = (status: HostStatus): string[] => [
  status.host,
  status.hasRival ? `${status.state}, twice` : status.state,
  status.heartbeatAt?.toISOString() ?? '-',
  String(status.published?.sequence ?? '-'),
  status.newestAt?.toISOString() ?? '-',
  String(status.partition),
  gapsText(status),
  status.groups.map(({ group, lag }) => `${group} ${lag} behind`).join(', ') || '-',
];

const gapsText = ({ gaps }: HostStatus): string => {
  const missing = gaps.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return missing === 0 ? '-' : `${missing} missing`;
};

const hostJson = (host: HostStatus) => ({
  host: host.host,
  partition: host.partition,
  journalId: host.published?.journalId ?? null,
  sequence: host.published?.sequence ?? null,
  newestAt: host.newestAt?.toISOString() ?? null,
  heartbeatAt: host.heartbeatAt?.toISOString() ?? null,
  state: host.state,
  hasRival: host.hasRival,
  gaps: host.gaps,
  groups: host.groups,
});
