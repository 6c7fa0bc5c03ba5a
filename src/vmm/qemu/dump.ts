import { lstat, rm } from 'node:fs/promises';
import path from 'node:path';
import { applied, failed, type Running } from '../act.js';
import type { Act, DumpTarget, Outcome } from '../driver.js';
import {
  type DumpStatus,
  dumpMemory,
  parseDump,
  parseDumpFormats,
  QUERY_DUMP,
  QUERY_DUMP_FORMATS,
  toDumpStatus,
} from './commands.js';
import { refusedFault } from './errors.js';
import { isObject, text } from './json.js';
import { look } from './look.js';
import type { QmpEvent } from './messages.js';
import type { Session } from './session.js';
import type { Tuning } from './tuning.js';

/** Compressed and read by `crash`; where a build has it not, ELF. */
const FORMATS = ['kdump-zlib', 'elf'];

interface End {
  readonly status: DumpStatus;
  readonly error: string;
}

/** Writes the guest's memory to a file: detached, so that QEMU answers meanwhile; ended by DUMP_COMPLETED. */
export const dump = async (
  session: Session,
  running: Running,
  act: Act & DumpTarget,
  tuning: Tuning,
): Promise<Outcome> => {
  // QEMU would empty a file that is there already.
  if ((await sizeOf(act.path)) !== null) {
    return failed('PATH_EXISTS', `${act.path} exists: a dump never overwrites`);
  }
  const seen = await look(session, running, act, tuning);
  if (!seen.go) return seen.outcome;
  const [formats] = await running.wait(session.execute([QUERY_DUMP_FORMATS]));
  const known = parseDumpFormats(formats);
  const format = FORMATS.find((name) => known.includes(name)) ?? 'elf';

  const completed = session.expect((event) => event.name === 'DUMP_COMPLETED');
  const resumed = session.expect((event) => event.name === 'RESUME');
  try {
    running.point('dump');
    session.note((view) => ({ ...view, dumping: true }));
    const sent = session.execute([dumpMemory(act.path, format)]);
    running.wrote('dump');
    const [reply] = await running.wait(sent);
    if (reply?.ok === false) {
      session.note((view) => ({ ...view, dumping: false }));
      return await discard(
        act.path,
        failed('DUMP_REFUSED', refusedFault('dump-guest-memory', reply.error).message),
      );
    }
    const end = await finish(session, running, act, tuning, completed.event);
    running.point('dump:completed');
    // QEMU stopped it for the dump, and continues it by itself.
    if (seen.inspection.state === 'running') {
      await running.waitFor(resumed.event, tuning.commandTimeoutMs);
    }
    if (end.status.status !== 'completed' || end.error !== '') {
      const why = end.error === '' ? `status ${end.status.status}` : end.error;
      return await discard(
        act.path,
        failed('DUMP_FAILED', `the dump failed: ${why}`, [`dump ${end.status.status}`]),
      );
    }
    running.proof.push(`dump completed, ${end.status.totalBytes} bytes of ${format}`);
    running.proof.push(await describeFile(act.path));
    return applied(running.proof, session.view.state);
  } finally {
    completed.forget();
    resumed.forget();
  }
};

/** Until DUMP_COMPLETED, or until QEMU says that it is over; tells how far it has come. */
const finish = async (
  session: Session,
  running: Running,
  act: Act,
  tuning: Tuning,
  completed: Promise<QmpEvent>,
): Promise<End> => {
  for (;;) {
    const event = await running.waitFor(completed, tuning.dumpPollMs);
    if (event !== null) return endOf(event);
    const [reply] = await running.wait(session.execute([QUERY_DUMP]));
    const status = parseDump(reply);
    if (status.status !== 'active') {
      // The event stands before the answer in the stream; it alone says why a dump failed.
      const said = await running.waitFor(completed, 0);
      return said === null ? { status, error: '' } : endOf(said);
    }
    act.onProgress?.(status);
  }
};

const endOf = (event: QmpEvent): End => {
  const { result } = event.data;
  return {
    status: toDumpStatus(isObject(result) ? result : {}),
    error: text(event.data, 'error'),
  };
};

/** null: it isn't there, as far as can be seen from here. */
const sizeOf = async (file: string): Promise<number | null> => {
  try {
    return (await lstat(file)).size;
  } catch {
    return null;
  }
};

const describeFile = async (file: string): Promise<string> => {
  const size = await sizeOf(file);
  return size === null ? `${file} can not be seen from here` : `${file} holds ${size} bytes`;
};

/** A failed dump leaves a part of itself: it would be taken for a whole one, and fills the disk. */
const discard = async (file: string, outcome: Outcome): Promise<Outcome> => {
  if (outcome.kind !== 'failed') return outcome;
  const told = (what: string): Outcome => ({ ...outcome, proof: [...outcome.proof, what] });
  if ((await sizeOf(file)) === null) {
    // Nothing there, or a file system that only the VMM sees.
    return (await sizeOf(path.dirname(file))) === null
      ? told(`${path.dirname(file)} can not be seen from here: a partial file may be left in it`)
      : outcome;
  }
  try {
    await rm(file);
    return told('the partial file was removed');
  } catch (error) {
    return told(
      `the partial file was not removed: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
};
