import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import { isFault } from '../lib/fault.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { describeFault } from './describe-fault.js';
import { FAILED } from './io.js';
import { stopAsked } from './stop-asked.js';

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
  // Not before the configuration is known to be good.
  const [{ startApp }, { createLog }] = await Promise.all([
    import('../app.js'),
    import('../telemetry/log.js'),
  ]);
  const terminal = process.stderr.isTTY === true;
  const log = await createLog({ ...config.log, terminal, fields: { host: config.host } });
  for (const warning of warnings) log.warn({ warning }, 'configuration');
  const { stopping, fail } = stopAsked(process, log);
  try {
    const app = await startApp(config, {
      log,
      umask: (mask) => process.umask(mask),
      pid: process.pid,
      uid: process.getuid?.() ?? 0,
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
    // Off while the program was loaded, see bin/vmwarden.js.
    setFlagsFromString('--opt');
    const code = await stopping;
    const overdue = setTimeout(() => {
      log.error({ stopTimeoutMs: config.stopTimeoutMs }, 'stop is overdue; cut off');
      void log.flush().finally(() => process.exit(FAILED));
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
    await log.flush();
  }
};
