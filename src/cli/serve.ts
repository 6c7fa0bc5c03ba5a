import type { Command } from 'commander';
import { startApp } from '../app.js';
import type { Config } from '../config/config.js';
import { isFault } from '../lib/fault.js';
import { createLog, type Log } from '../telemetry/log.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { describeFault } from './describe-fault.js';
import { FAILED, GOOD } from './io.js';

/** The build puts it beside the bundle. */
const JOURNAL_WORKER = new URL('./journal-worker.js', import.meta.url);
/** A stop that has not ended this long after its own bound is cut off. */
const OVERDUE_MS = 2_000;

/** Adds `vmwarden serve`. */
export const addServeCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('serve')
      .description('watch the VMs, decide by the policy, act, and keep the journal'),
  ).action(async (flags: ConfigFlags) => {
    const loaded = await configOrExit(flags, process);
    process.exitCode = typeof loaded === 'number' ? loaded : await serve(loaded);
  });
};

const serve = async ({
  config,
  file,
  warnings,
}: {
  readonly config: Config;
  readonly file: string | null;
  readonly warnings: readonly string[];
}): Promise<number> => {
  const terminal = process.stderr.isTTY === true;
  const log = await createLog({ ...config.log, terminal, fields: { host: config.host } });
  for (const warning of warnings) log.warn({ warning }, 'configuration');
  const { stopping, fail } = stopAsked(log);
  try {
    const app = await startApp(config, {
      log,
      umask: (mask) => process.umask(mask),
      journalWorker: JOURNAL_WORKER,
      onBroken: fail,
    });
    log.info(
      {
        listening: app.server.address,
        config: file ?? 'defaults',
        policy: config.policyFile ?? 'none: observing only',
        vms: config.vms.length,
        journal: app.journal.id,
        next: `vmwarden events --follow --socket ${config.socket}`,
      },
      'serving',
    );
    const code = await stopping;
    const overdue = setTimeout(() => {
      log.error({ stopTimeoutMs: config.stopTimeoutMs }, 'stop is overdue; cut off');
      log.flush();
      process.exit(FAILED);
    }, config.stopTimeoutMs + OVERDUE_MS);
    overdue.unref();
    await app.stop();
    log.info({}, 'stopped');
    return code;
  } catch (error) {
    const what = isFault(error) ? describeFault(error) : String((error as Error).stack ?? error);
    log.error({ error }, `can’t serve: ${what}`);
    return FAILED;
  } finally {
    log.flush();
  }
};

/** `stopping` resolves with the exit code once somebody asks to stop, or something went wrong that nobody handled. */
const stopAsked = (
  log: Log,
): { readonly stopping: Promise<number>; readonly fail: (error: unknown) => void } => {
  let stop: (code: number) => void = () => undefined;
  const stopping = new Promise<number>((resolve) => {
    stop = resolve;
  });
  // A defect of ours: leave in order, so that take-over is put back and the supervisor starts us anew.
  const fail = (error: unknown): void => {
    log.error({ error }, 'stopping after an error that only a new process mends');
    stop(FAILED);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      stop(GOOD);
    });
  }
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  return { stopping, fail };
};
