import type { DiscoverConfig, VmConfig } from '../config/config.js';
import {
  LABEL_VALUE,
  LABEL_VALUE_EXPECTED,
  VM_ID,
  VM_ID_EXPECTED,
  VM_UID,
  VM_UID_EXPECTED,
} from '../config/vm-id.js';
import { fillParts, matchPath, type Parts } from '../lib/path-template.js';
import { printable } from '../policy/problem.js';
import { trustedOwners } from './trust.js';

export type FoundVm =
  | { readonly ok: true; readonly vm: VmConfig }
  | { readonly ok: false; readonly reason: string };

/** The VM that stands behind a socket: what is in its path is its maker's word, so it is checked like an operator's. */
export const foundVm = (
  from: DiscoverConfig,
  socket: string,
  parts: Parts,
  ownUid: number,
): FoundVm => {
  const id = fillParts(from.id, parts);
  if (!VM_ID.test(id)) return wrong('VM id', id, VM_ID_EXPECTED);
  const uid = fillParts(from.uid, parts);
  if (!VM_UID.test(uid)) return wrong('uid', uid, VM_UID_EXPECTED);
  const labels: Record<string, string> = {};
  for (const [name, text] of Object.entries(from.labels)) {
    const value = fillParts(text, parts);
    if (!LABEL_VALUE.test(value)) return wrong(`label ${name}`, value, LABEL_VALUE_EXPECTED);
    labels[name] = value;
  }
  const { takeOver, release } = from;
  const socketOwners = [...trustedOwners(from.owners, ownUid)];
  const driver = { kind: 'qemu', socket } as const;
  return { ok: true, vm: { id, uid, labels, driver, takeOver, release, socketOwners } };
};

/** The same of a path alone: the first pattern that has it counts. null: none has. */
export const vmAtPath = (
  patterns: readonly DiscoverConfig[],
  socket: string,
  ownUid: number,
): { readonly vm: VmConfig; readonly from: DiscoverConfig } | null => {
  for (const from of patterns) {
    const parts = matchPath(from.driver.socket, socket);
    if (parts === null) continue;
    const found = foundVm(from, socket, parts, ownUid);
    return found.ok ? { vm: found.vm, from } : null;
  }
  return null;
};

const wrong = (what: string, value: string, expected: string): FoundVm => ({
  ok: false,
  reason: `gives the ${what} ${printable(value)}; expected ${expected}`,
});
