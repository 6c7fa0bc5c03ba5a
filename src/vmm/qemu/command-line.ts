import type { TakeOver } from '../driver.js';

/** What a QEMU was told to do by itself, by its command line. QMP has no way to ask for it. */
export interface StartActions {
  readonly panic: string;
  readonly shutdown: string;
  readonly watchdog: string;
  readonly reboot: string;
}

const DEFAULTS: StartActions = {
  panic: 'shutdown',
  shutdown: 'poweroff',
  watchdog: 'reset',
  reboot: 'reset',
};

/** Pure. Later options win, as they do in QEMU. */
export const startActions = (commandLine: readonly string[]): StartActions => {
  const actions = { ...DEFAULTS };
  for (const [index, part] of commandLine.entries()) {
    // QEMU takes its options with one dash or two.
    const option = part.replace(/^--/, '-');
    const value = commandLine[index + 1] ?? '';
    if (option === '-no-shutdown') actions.shutdown = 'pause';
    if (option === '-no-reboot') actions.reboot = 'shutdown';
    if (option === '-watchdog-action') actions.watchdog = value;
    if (option === '-action') {
      for (const pair of value.split(',')) {
        const [key, word] = pair.split('=');
        if (key !== undefined && key in actions && word !== undefined) {
          actions[key as keyof StartActions] = word;
        }
      }
    }
  }
  return actions;
};

/** What can't take effect on a VM started like this while vmwarden has not taken over: one sentence each. */
export const startWarnings = (
  commandLine: readonly string[] | null,
  takeOver: TakeOver | null,
  releaseReboot: string,
): readonly string[] => {
  const taken = takeOver ?? { panic: false, shutdown: false, watchdog: false };
  if (commandLine === null) {
    return taken.panic && taken.shutdown && taken.watchdog
      ? []
      : ["QEMU's command line can't be read from here, so what it does by itself is not known."];
  }
  const actions = startActions(commandLine);
  const warnings: string[] = [];
  // `panic=shutdown,shutdown=pause` pauses a panicked guest, too.
  const pausesPanic =
    taken.panic ||
    actions.panic === 'pause' ||
    (actions.panic === 'shutdown' && (taken.shutdown || actions.shutdown === 'pause'));
  if (!pausesPanic && actions.panic !== 'none') {
    warnings.push(
      `QEMU ends itself when the guest panics (panic=${actions.panic}): restart and dump come too late; start it with -action panic=pause, or let vmwarden take over.`,
    );
  }
  if (!taken.shutdown && actions.shutdown !== 'pause') {
    warnings.push(
      'QEMU ends itself when the guest powers off (shutdown=poweroff): nothing can be done in its place; start it with -no-shutdown, or let vmwarden take over.',
    );
  }
  if (!taken.watchdog && actions.watchdog !== 'pause') {
    warnings.push(
      `QEMU answers a watchdog by itself (watchdog=${actions.watchdog}); start it with -action watchdog=pause, or let vmwarden take over.`,
    );
  }
  if (actions.reboot === 'shutdown' && releaseReboot !== 'shutdown') {
    warnings.push(
      'QEMU was started with reboot=shutdown, which a restart changes to reset for good; set release.reboot to shutdown to have it put back.',
    );
  }
  return warnings;
};
