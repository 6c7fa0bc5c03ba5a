import { describe, expect, it } from 'vitest';
import { startActions, startWarnings } from '../../../src/vmm/qemu/command-line.js';

const ALL = { panic: true, shutdown: true, watchdog: true };

describe('what a QEMU was started to do by itself', () => {
  it.each([
    [[], { panic: 'shutdown', shutdown: 'poweroff', watchdog: 'reset', reboot: 'reset' }],
    [['-no-shutdown', '--no-reboot'], { shutdown: 'pause', reboot: 'shutdown' }],
    [['-action', 'panic=pause,watchdog=none'], { panic: 'pause', watchdog: 'none' }],
    [['-action', 'panic=pause', '-action', 'panic=exit-failure'], { panic: 'exit-failure' }],
    [['-no-shutdown', '-action', 'shutdown=poweroff'], { shutdown: 'poweroff' }],
    [['-watchdog-action', 'pause'], { watchdog: 'pause' }],
    [['-action', 'nothing', '-action', 'colour=red', '-action'], { panic: 'shutdown' }],
  ])('%j', (args, expected) => {
    expect(startActions(['qemu-system-x86_64', ...args])).toMatchObject(expected);
  });
});

describe('what can not take effect', () => {
  const about = (
    args: readonly string[] | null,
    taken = { panic: false, shutdown: false, watchdog: false },
  ) =>
    startWarnings(args, taken, 'reset').map(
      (sentence) => /panic=|shutdown=poweroff|watchdog=|read/.exec(sentence)?.[0],
    );

  it('by the command line', () => {
    expect(about([])).toEqual(['panic=', 'shutdown=poweroff', 'watchdog=']);
    expect(about(['-no-shutdown'])).toEqual(['watchdog=']);
    expect(about(['-action', 'panic=pause'])).toEqual(['shutdown=poweroff', 'watchdog=']);
    expect(about(['-action', 'panic=none'])).toEqual(['shutdown=poweroff', 'watchdog=']);
    expect(about(['-action', 'panic=exit-failure', '-no-shutdown'])).toEqual([
      'panic=',
      'watchdog=',
    ]);
    expect(about(['-no-shutdown', '-action', 'watchdog=pause'])).toEqual([]);
  });

  it('nothing of what was taken over', () => {
    expect(about([], ALL)).toEqual([]);
    expect(about(null, ALL)).toEqual([]);
    expect(about([], { ...ALL, shutdown: false })).toEqual(['shutdown=poweroff']);
    expect(about(null)).toEqual(['read']);
  });

  it('a reboot that a restart would change for good', () => {
    expect(startWarnings(['-no-reboot'], ALL, 'reset').join()).toContain('release.reboot');
    expect(startWarnings(['-no-reboot'], ALL, 'shutdown')).toEqual([]);
  });
});
