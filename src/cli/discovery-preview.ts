import type { Config } from '../config/config.js';
import { reconcile } from '../discovery/reconcile.js';
import { type Refusal, scanSockets } from '../discovery/scan.js';
import { withDeadline } from '../lib/with-deadline.js';

/** What `serve`, begun now by this user, would find. */
export interface DiscoveryPreview {
  readonly vms: readonly {
    readonly id: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly socket: string;
  }[];
  readonly refused: readonly Refusal[];
  /** Refusals that are not listed. */
  readonly refusedMore: number;
}

const SCAN_MS = 10_000;

/** null: it took too long. */
export const previewDiscovery = async (
  { discover, vms }: Config,
  ownUid: number,
): Promise<DiscoveryPreview | null> => {
  const signal = AbortSignal.timeout(SCAN_MS);
  const scan = await withDeadline(SCAN_MS, scanSockets(discover, { ownUid, signal }));
  if (scan === undefined) return null;
  const { tracked, refused } = reconcile(scan, {
    tracked: new Map(),
    retired: new Map(),
    named: new Map(
      vms.map(({ id, driver }) => [id, driver.kind === 'qemu' ? driver.socket : null]),
    ),
    look: () => ({ connected: false, exited: false }),
    nowMs: 0,
    ownUid,
  });
  return {
    vms: [...tracked.values()].map(({ vm: { id, uid, labels }, socket }) => ({
      id,
      uid,
      labels,
      socket,
    })),
    refused: [...scan.refused, ...refused],
    refusedMore: scan.refusedMore,
  };
};
