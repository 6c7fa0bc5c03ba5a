import { describe, expect, it } from 'vitest';
import { rebootWarning, startActions, startedToWait } from '../../../src/vmm/qemu/command-line.js';

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

describe('for what it lets its guest wait', () => {
  it.each([
    [[], []],
    [['-no-shutdown'], ['panic', 'shutdown']],
    [['-action', 'panic=pause'], ['panic']],
    [['-action', 'panic=none'], ['panic']],
    [['-action', 'panic=exit-failure', '-no-shutdown'], ['shutdown']],
    [
      ['-no-shutdown', '-action', 'watchdog=pause'],
      ['panic', 'shutdown', 'watchdog'],
    ],
  ])('%j', (args, expected) => {
    const waits = Object.entries(startedToWait(args)).filter(([, does]) => does);
    expect(waits.map(([event]) => event)).toEqual(expected);
  });
});

it('a reboot that a restart would change for good is warned of', () => {
  expect(rebootWarning(['-no-reboot'], 'reset')).toContain('release.reboot');
  expect(rebootWarning(['-no-reboot'], 'shutdown')).toBeNull();
  expect(rebootWarning([], 'reset')).toBeNull();
});
