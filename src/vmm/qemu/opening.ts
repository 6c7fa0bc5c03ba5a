import { rebootWarning, startedToWait } from './command-line.js';
import {
  NEGOTIATE,
  parseCpuThread,
  parseDump,
  parseMigration,
  parseStatus,
  QUERY_CPUS,
  QUERY_DUMP,
  QUERY_MIGRATE,
  QUERY_STATUS,
} from './commands.js';
import { connectQmp, type QmpConnection } from './connection.js';
import { refusedFault, socketFault } from './errors.js';
import { interpret, stateAsTold } from './events.js';
import type { QmpEvent } from './messages.js';
import { identifyProcess, type ProcessIdentity } from './process-identity.js';
import { type Opening, Session, type SessionOptions } from './session.js';
import { type Answers, settle } from './settle.js';
import { releaseCommands, takeOverCommand } from './take-over.js';
import { freshView, type Told, type View } from './view.js';

/** Connects and asks; nothing is told yet: `begin` does, in the same turn. Rejects with a Fault. */
export const openSession = async (
  options: SessionOptions,
): Promise<{ readonly session: Session; readonly opening: Opening }> => {
  const { socket, tuning, watch, vm, takenOver } = options;
  const before: QmpEvent[] = [];
  const later: QmpEvent[] = [];
  let inspected = false;
  let session: Session | null = null;
  const refusal = (await options.refused?.()) ?? null;
  if (refusal !== null) throw refusal;
  const connection = await connectQmp({
    socket,
    signal: watch.signal,
    timeoutMs: tuning.connectTimeoutMs,
    maxLineBytes: tuning.maxLineBytes,
    onEvent: (event) => {
      if (session !== null) session.onEvent(event);
      else (inspected ? later : before).push(event);
    },
  });
  try {
    const takeOver = watch.takeOver();
    const taking = takeOver === null ? [] : [takeOverCommand(takeOver, vm.release)];
    const first = [NEGOTIATE, ...taking];
    if (takeOver !== null) takenOver.tell(null);
    const replies = await connection.execute(
      [...first, QUERY_CPUS, QUERY_DUMP, QUERY_MIGRATE, QUERY_STATUS],
      tuning.connectTimeoutMs,
      () => {
        inspected = true;
      },
    );
    const [negotiated, taken] = replies;
    if (negotiated?.ok === false) throw refusedFault(NEGOTIATE.name, negotiated.error);
    const refused = takeOver !== null && taken?.ok === false;
    const [cpus, dump, migration, status] = replies.slice(first.length);
    const thread = parseCpuThread(cpus);
    const answers = {
      raw: parseStatus(status),
      migration: parseMigration(migration),
      dump: parseDump(dump),
    };
    const identity = await identifyProcess(socket, thread).catch((error: unknown) => {
      throw socketFault(error, socket);
    });
    if (takeOver !== null && !refused) takenOver.tell(identity.id);
    else if (refused) takenOver.clear();
    const unreleased = await putBack(options, connection, identity.id);
    const { commandLine } = identity;
    const reboot = commandLine === null ? null : rebootWarning(commandLine, vm.release.reboot);
    const warnings = [
      ...(refused
        ? ['QEMU refused set-action, so vmwarden has not taken over: QEMU 6.0 or later has it.']
        : []),
      ...(unreleased === null ? [] : [unreleased]),
      ...(reboot === null ? [] : [reboot]),
    ];
    const opening = {
      ...meet(options, identity, answers, before),
      identity,
      startedToWait: commandLine === null ? null : startedToWait(commandLine),
      warnings,
      later,
    };
    session = new Session(options, connection, opening);
    return { session, opening };
  } catch (error) {
    connection.close();
    throw error;
  }
};

/**
 * Puts back what was taken over, in a connection before or in this one, and shall no longer be: the policy may change
 * while there is no connection, and while one is made. Answers what the operator should know, or null.
 */
const putBack = async (
  { tuning, takenOver, vm, watch }: SessionOptions,
  connection: QmpConnection,
  bootId: string,
): Promise<string | null> => {
  if (watch.takeOver() !== null) return null;
  if (!takenOver.holds(bootId)) {
    takenOver.clear();
    return null;
  }
  const replies = await connection.execute(releaseCommands(vm.release), tuning.connectTimeoutMs);
  takenOver.clear();
  return replies.every((reply) => reply.ok)
    ? null
    : 'QEMU refused set-action, so it may go on to wait for vmwarden where it was taken over.';
};

/** Compares what is found with what was known before. */
const meet = (
  options: SessionOptions,
  identity: ProcessIdentity,
  answers: Answers,
  before: readonly QmpEvent[],
): Pick<Opening, 'view' | 'continuous' | 'told' | 'reconciled'> => {
  const { former, watch, clock } = options;
  const same = former !== null && former.bootId === identity.id;
  const lastSeen = watch.lastSeen();
  const known = lastSeen !== null && lastSeen.bootId === identity.id ? lastSeen.state : null;
  const was = same ? former.view.state : known;
  // Stopped before and running now: somebody started it again, which counts as a boot that was not seen.
  const restarted = was !== null && answers.raw === 'running' && STOPPED.has(was);
  let view: View = {
    ...freshView((former?.view.boots ?? 0) + (same ? 0 : 1) + (restarted ? 1 : 0)),
    hasRun: (same && former.view.hasRun) || (known !== null && SHOWS_RUN.has(known)),
    takenBack: same && former.view.takenBack,
    shutdown: same ? former.view.shutdown : null,
  };
  const told: Told[] = [];
  for (const event of before) {
    const step = interpret(view, event);
    view = step.view;
    if (step.told !== null) told.push(step.told);
  }
  view = settle(view, answers);
  const { state, raw } = view;
  const answered = known === state || told.some((one) => one.state === state);
  const reconciled = answered ? null : stateAsTold(raw, state);
  if (reconciled?.type === 'WATCHDOG') view = { ...view, watchdogToldAtMs: clock.now().wallMs };
  const continuous = known === state && before.length === 0 && HOLDS_STILL.has(state);
  return { view, continuous, told, reconciled };
};

/** A guest that was stopped, and in the same way is stopped now, has not booted by itself meanwhile. */
const STOPPED: ReadonlySet<string> = new Set([
  'paused',
  'panicked',
  'shutdown',
  'watchdog',
  'error',
]);
const HOLDS_STILL: ReadonlySet<string> = new Set([...STOPPED, 'prelaunch']);
/** States that only a guest that has run can have been seen in. */
const SHOWS_RUN: ReadonlySet<string> = new Set([...STOPPED, 'running', 'suspended']);
