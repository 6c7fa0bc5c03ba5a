/** What the guest writes on its serial port at each boot, and when it wakes from S3. */
export const BOOT_BYTE = 'B';
export const WAKE_BYTE = 'W';

/** What the guest does when it reads the byte; any other byte is answered with itself. */
export const GUEST_COMMANDS = {
  panic: 'p',
  /** A crash kernel is loaded: told to the VMM, and the guest goes on. */
  crashLoaded: 'c',
  reset: 'r',
  /** ACPI S5. */
  powerOff: 'o',
  /** ACPI S3. */
  suspend: 's',
  /** Arms a watchdog that runs out at once. */
  watchdog: 'w',
  /** From here on it ignores its power button. */
  ignoreButton: 'i',
  /** Writes a sector of its first IDE disk. */
  writeDisk: 'd',
  /** Answered with the same byte: the guest runs. */
  ping: '.',
} as const;

export type GuestCommand = keyof typeof GUEST_COMMANDS;

export interface GuestOptions {
  /** Private directory for sockets and files; short, for a socket's path holds 107 bytes. Its owner removes it. */
  readonly dir: string;
  /** Tells guests of one directory apart. Default `guest`. */
  readonly name?: string;
  /** QMP monitors, each for one client. Default 1. */
  readonly monitors?: number;
  /** More of QEMU's arguments: `-S`, `-no-shutdown`, `-no-reboot`, `-action panic=pause`. */
  readonly args?: readonly string[];
}

/**
 * A tiny guest in a process of its own. Its monitor speaks QMP; its serial port is held by whoever
 * started it, so that no boot goes uncounted.
 */
export interface Guest {
  readonly kind: 'qemu' | 'standIn';
  readonly pid: number;
  /** The first monitor. */
  readonly qmpSocket: string;
  readonly qmpSockets: readonly string[];

  /** Boots that the guest itself has told of. */
  boots(): number;

  /** Resolves when it has told of `count` boots; rejects when that takes longer or the process ends. */
  booted(count: number, timeoutMs?: number): Promise<void>;

  /** Resolves when it has answered: its CPU runs. Rejects when it hasn't in time. */
  ping(timeoutMs?: number): Promise<void>;

  /** Makes it do something; resolves when the byte was handed over, not when it was done. */
  send(command: GuestCommand): void;

  /** What it wrote, as text, bounded to the last 64 KiB. */
  output(): string;

  /** What QEMU wrote to stderr, bounded. */
  stderr(): string;

  /** How the process ended. Never rejects. */
  readonly exited: Promise<GuestExit>;

  /** Ends the process (SIGKILL after 2 s) and closes the serial port. Never rejects. */
  stop(): Promise<void>;
}

export interface GuestExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}
