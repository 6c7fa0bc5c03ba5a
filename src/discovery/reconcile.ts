import type { DiscoverConfig, VmConfig } from '../config/config.js';
import { foundVm } from './found-vm.js';
import type { Candidate, Refusal, Scan } from './scan.js';

/** VMs that are found on one host, at most. */
export const MAX_FOUND = 1_000;

/** A VM that was found, now or before. */
export interface Tracked {
  readonly vm: VmConfig;
  readonly from: DiscoverConfig;
  readonly socket: string;
  /** Of its socket as it was last there; empty: not seen in this life. */
  readonly mark: string;
  readonly goneAtMs: number | null;
}

/** How the engine sees a VM. */
export interface Look {
  readonly connected: boolean;
  /** Its VMM is known to have ended. */
  readonly exited: boolean;
}

export interface Situation {
  readonly tracked: ReadonlyMap<string, Tracked>;
  /** Marks of the sockets that VMs were retired with, by path. */
  readonly retired: ReadonlyMap<string, string>;
  /** VMs of the configuration, by id, with their sockets where they have one. */
  readonly named: ReadonlyMap<string, string | null>;
  readonly look: (id: string) => Look;
  readonly nowMs: number;
  readonly ownUid: number;
}

export interface Findings {
  /** As they are now known: those of before, changed, and new ones. */
  readonly tracked: ReadonlyMap<string, Tracked>;
  /** To be watched from now on, in the place of what was watched under their ids. */
  readonly attach: readonly string[];
  /** To be let go, if nothing is open with them. */
  readonly retire: readonly string[];
  readonly refused: readonly Refusal[];
}

/** What a scan means for the VMs that are known. Pure. */
export const reconcile = (scan: Scan, situation: Situation): Findings => {
  const { nowMs, look } = situation;
  const { wanted, refused } = claim(scan.candidates, situation);
  const tracked = new Map<string, Tracked>();
  const attach: string[] = [];
  for (const [id, known] of situation.tracked) {
    const claimed = wanted.get(id);
    wanted.delete(id);
    if (claimed !== undefined && claimed.socket !== known.socket) {
      if (look(id).connected) {
        const reason = `is VM ${id}, which is in contact by ${known.socket}`;
        refused.push({ path: claimed.socket, reason });
        tracked.set(id, known);
      } else {
        tracked.set(id, claimed);
        attach.push(id);
      }
      continue;
    }
    const gone = claimed === undefined ? scan.whole || known.goneAtMs !== null : look(id).exited;
    // A clock that was set back does not keep a VM for longer.
    const goneAtMs = gone ? Math.min(known.goneAtMs ?? nowMs, nowMs) : null;
    tracked.set(id, { ...known, mark: claimed?.mark ?? known.mark, goneAtMs });
  }
  for (const [id, claimed] of wanted) {
    if (situation.retired.get(claimed.socket) === claimed.mark) continue;
    if (tracked.size >= MAX_FOUND) {
      const reason = `is one more than the ${MAX_FOUND} VMs that are found on a host`;
      refused.push({ path: claimed.socket, reason });
      continue;
    }
    tracked.set(id, claimed);
    attach.push(id);
  }
  const retire = [...tracked].flatMap(([id, { goneAtMs, from }]) =>
    goneAtMs !== null && nowMs - goneAtMs >= from.retireAfterMs && !look(id).connected ? [id] : [],
  );
  return { tracked, attach, retire, refused };
};

/** Which socket stands for which VM: the configuration's word first, then what is watched already, then the first found. */
const claim = (
  candidates: readonly Candidate[],
  { tracked, named, ownUid }: Situation,
): { readonly wanted: Map<string, Tracked>; readonly refused: Refusal[] } => {
  const wanted = new Map<string, Tracked>();
  const refused: Refusal[] = [];
  const namedAt = new Map([...named].flatMap(([id, at]) => (at === null ? [] : [[at, id]])));
  for (const { from, path, parts, mark } of candidates) {
    const found = foundVm(from, path, parts, ownUid);
    const refuse = (reason: string, socket = path): number =>
      refused.push({ path: socket, reason });
    if (!found.ok) {
      refuse(found.reason);
      continue;
    }
    const { id } = found.vm;
    const owner = namedAt.get(path);
    // An entry of its own says more of this very socket.
    if (owner === id) continue;
    if (owner !== undefined) {
      refuse(`is the socket of VM ${owner} in vms[]; not taken for VM ${id}`);
      continue;
    }
    if (named.has(id)) {
      refuse(`is VM ${id}, which vms[] has already, elsewhere; that one counts`);
      continue;
    }
    const first = wanted.get(id);
    if (first !== undefined && tracked.get(id)?.socket !== path) {
      refuse(`is VM ${id}, which ${first.socket} is already`);
      continue;
    }
    if (first !== undefined) refuse(`is VM ${id}, which ${path} is already`, first.socket);
    wanted.set(id, { vm: found.vm, from, socket: path, mark, goneAtMs: null });
  }
  return { wanted, refused };
};
