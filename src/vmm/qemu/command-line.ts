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

/** For which events a QEMU started like this lets its guest wait instead of ending or resetting it. Pure. */
export const startedToWait = (commandLine: readonly string[]): TakeOver => {
  const { panic, shutdown, watchdog } = startActions(commandLine);
  return {
    // `panic=shutdown,shutdown=pause` pauses a panicked guest, too; with `none` it runs on and is still there.
    panic: panic === 'pause' || panic === 'none' || (panic === 'shutdown' && shutdown === 'pause'),
    shutdown: shutdown === 'pause',
    watchdog: watchdog === 'pause',
  };
};

/** What a restart changes for good on a QEMU started like this; null: nothing. */
export const rebootWarning = (
  commandLine: readonly string[],
  releaseReboot: string,
): string | null =>
  startActions(commandLine).reboot === 'shutdown' && releaseReboot !== 'shutdown'
    ? 'QEMU was started with reboot=shutdown, which a restart changes to reset for good; set release.reboot to shutdown to have it put back.'
    : null;
