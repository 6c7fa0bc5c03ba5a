import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DumpTarget } from '../vmm/driver.js';

/**
 * Where a dump goes: `<dir>/vm-<id>/<incident>-<attempt>.kdump`, in directories that only their owner may enter (0700). The prefix
 * keeps a VM called `..` where it belongs. Rejects when the directory can't be made.
 */
export const makeDumpTarget = async (
  dir: string,
  vm: string,
  incident: string,
  attempt: number,
): Promise<DumpTarget> => {
  const own = join(dir, `vm-${vm}`);
  await mkdir(own, { recursive: true, mode: 0o700 });
  return { path: join(own, `${incident}-${attempt}.kdump`) };
};
