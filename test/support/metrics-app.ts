import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type App, type AppParts, startApp } from '../../src/app.js';
import type { Config } from '../../src/config/config.js';
import type { Logger } from '../../src/lib/logger.js';
import type { Act, DumpTarget } from '../../src/vmm/driver.js';
import { createObserveDriver } from '../../src/vmm/observe/driver.js';
import { type Exposition, parseExposition } from './exposition.js';
import { lifeConfig, qemuVm } from './life-config.js';
import { ScriptedDriver } from './scripted-driver.js';
import { waitFor } from './wait-for.js';

/** Leaves a file as a VMM does. */
class DumpingDriver extends ScriptedDriver {
  override dump(act: Act & DumpTarget) {
    mkdirSync(dirname(act.path), { recursive: true });
    writeFileSync(act.path, Buffer.alloc(DUMP_BYTES, 1));
    return super.dump(act);
  }
}

export const DUMP_BYTES = 8192;

export interface MetricsApp {
  readonly app: App;
  readonly driver: ScriptedDriver;
  readonly dir: string;
  readonly policyFile: string;
  /** Base URL of the probes. */
  readonly url: string;
  readonly lines: readonly LogLine[];
  scrape(): Promise<Exposition>;
  /** Scrapes until it holds. */
  until(what: string, holds: (scraped: Exposition) => boolean): Promise<Exposition>;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A whole vmwarden with its probes on a free port and one VM whose VMM is in memory; stopped when the test ends. */
export const startMetricsApp = async (
  policy: string | null,
  changes: Partial<Config> = {},
  parts: Partial<AppParts> = {},
): Promise<MetricsApp> => {
  const dir = mkdtempSync(join(tmpdir(), 'vmw-metrics-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const driver = new DumpingDriver('web-1');
  const config = lifeConfig({
    dir,
    policy,
    vms: [qemuVm('web-1', join(dir, 'none.qmp'))],
    changes: { metrics: { host: '127.0.0.1', port: 0, vmSeries: 100 }, ...changes },
  });
  const lines: LogLine[] = [];
  const app = await startApp(config, {
    log: collectingLog(lines),
    umask: (mask) => process.umask(mask),
    pid: process.pid,
    drivers: {
      qemu: () => driver,
      agent: () => createObserveDriver(),
      observe: () => createObserveDriver(),
    },
    ...parts,
  });
  onTestFinished(() => app.stop());
  const url = `http://127.0.0.1:${app.probes?.port}`;
  const scrape = async () => parseExposition(await (await fetch(`${url}/metrics`)).text());
  return {
    app,
    driver,
    dir,
    policyFile: config.policyFile ?? '',
    url,
    lines,
    scrape,
    until: async (what, holds) => {
      let scraped = await scrape();
      await waitFor(what, async () => {
        if (holds(scraped)) return true;
        scraped = await scrape();
        return holds(scraped);
      });
      return scraped;
    },
  };
};

export const collectingLog = (lines: LogLine[]): Logger => {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ ...fields, level, message });
  };
  const log: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return log;
};
