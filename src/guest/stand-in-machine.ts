import type { GuestCommand } from './guest.js';

/** What QEMU would do by itself: `set-action`, or its command line. */
export interface Actions {
  panic: string;
  shutdown: string;
  reboot: string;
  watchdog: string;
}

export interface Surroundings {
  readonly emit: (event: string, data?: Record<string, unknown>) => void;
  /** To the guest's serial port. */
  readonly write: (text: string) => void;
  /** The process ends once all that was written is out. */
  readonly exit: (code: number) => void;
}

/** A QMP error: class and text are QEMU's. */
export class Refusal extends Error {
  constructor(
    readonly errorClass: 'GenericError' | 'CommandNotFound',
    message: string,
  ) {
    super(message);
  }
}

const NEEDS_RESET = ['shutdown', 'internal-error'];

/**
 * One machine as QEMU 7.2's monitor shows it, with the tiny firmware for a guest: the states, the events
 * and their order are those recorded from the real one, and the driver's contract suite runs over both.
 */
export class StandInMachine {
  readonly actions: Actions = {
    panic: 'shutdown',
    shutdown: 'poweroff',
    reboot: 'reset',
    watchdog: 'reset',
  };
  status = 'prelaunch';
  dumping = false;
  readonly #around: Surroundings;
  /** Bytes that the guest has not read: it reads only while it runs. */
  readonly #unread: GuestCommand[] = [];
  /** Nothing of the firmware has run since the last reset. */
  #fresh = true;
  #ignoresButton = false;
  #over = false;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  get running(): boolean {
    return this.status === 'running';
  }

  /** The guest is handed a byte. */
  receive(command: GuestCommand): void {
    this.#unread.push(command);
    this.#run();
  }

  cont(): void {
    this.#notWhileDumping();
    if (NEEDS_RESET.includes(this.status)) {
      throw new Refusal('GenericError', 'Resetting the Virtual Machine is required');
    }
    if (this.running || this.status === 'suspended') return;
    this.#resume();
    this.#run();
  }

  stop(): void {
    this.#notWhileDumping();
    if (this.running) this.#stop('paused');
  }

  reset(): void {
    this.#reset(false, 'host-qmp-system-reset');
  }

  powerdown(): void {
    this.#around.emit('POWERDOWN');
    if (this.running && !this.#ignoresButton) this.#shutdown(true, 'guest-shutdown');
  }

  wakeup(): void {
    if (this.status !== 'suspended') {
      throw new Refusal('GenericError', 'Unable to wake up: guest is not in suspended state');
    }
    this.status = 'running';
    this.#around.emit('WAKEUP');
    this.#around.write('W');
    this.#run();
  }

  quit(): void {
    this.#end('host-qmp-quit');
  }

  /** SIGTERM: ends it also where a shutdown would only pause. */
  terminate(): void {
    this.#end('host-signal');
  }

  /** A dump of a running guest stops it meanwhile. Answers what to do when the dump is over. */
  beginDump(): () => void {
    this.#notWhileDumping();
    this.dumping = true;
    const ran = this.running;
    if (ran) this.#stop('save-vm');
    return () => {
      this.dumping = false;
      if (ran && this.status === 'save-vm') {
        this.#resume();
        this.#run();
      }
    };
  }

  #notWhileDumping(): void {
    if (this.dumping) {
      throw new Refusal('GenericError', 'There is a dump in process, please wait.');
    }
  }

  #resume(): void {
    this.status = 'running';
    this.#around.emit('RESUME');
  }

  #stop(status: string): void {
    this.status = status;
    this.#around.emit('STOP');
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#around.emit('SHUTDOWN', { guest: false, reason });
    this.#around.exit(0);
  }

  #exit(code: number): void {
    this.#over = true;
    this.#around.exit(code);
  }

  #reset(guest: boolean, reason: string): void {
    if (this.actions.reboot === 'shutdown') {
      this.#shutdown(guest, reason);
      return;
    }
    this.#around.emit('RESET', { guest, reason });
    this.#fresh = true;
    if (this.running) this.#run();
    else this.status = 'prelaunch';
  }

  #shutdown(guest: boolean, reason: string): void {
    this.#around.emit('SHUTDOWN', { guest, reason });
    if (this.actions.shutdown !== 'pause') this.#exit(0);
    else if (this.running) this.#stop('shutdown');
    else this.status = 'shutdown';
  }

  /** The guest runs for as long as it may: boots when it was reset, then reads what it was sent. */
  #run(): void {
    while (this.running && !this.#over) {
      if (this.#fresh) {
        this.#fresh = false;
        this.#ignoresButton = false;
        this.#around.write('B');
      }
      const command = this.#unread.shift();
      if (command === undefined) return;
      this.#obey(command);
    }
  }

  #obey(command: GuestCommand): void {
    switch (command) {
      case 'panic':
        this.#panic();
        break;
      case 'crashLoaded':
        this.#around.emit('GUEST_CRASHLOADED', { action: 'run' });
        break;
      case 'reset':
        this.#reset(true, 'guest-reset');
        break;
      case 'powerOff':
        this.#shutdown(true, 'guest-shutdown');
        break;
      case 'suspend':
        this.status = 'suspended';
        this.#around.emit('SUSPEND');
        break;
      case 'watchdog':
        this.#watchdog();
        break;
      case 'ignoreButton':
        this.#ignoresButton = true;
        break;
      case 'ping':
        this.#around.write('.');
        break;
      case 'writeDisk':
        // It has no disk.
        break;
    }
  }

  #panic(): void {
    const { panic, shutdown } = this.actions;
    if (panic === 'none') {
      this.#around.emit('GUEST_PANICKED', { action: 'run' });
    } else if (panic === 'pause' || (panic === 'shutdown' && shutdown === 'pause')) {
      this.#around.emit('GUEST_PANICKED', { action: 'pause' });
      this.#stop('guest-panicked');
    } else {
      this.#around.emit('GUEST_PANICKED', { action: 'poweroff' });
      this.#around.emit('SHUTDOWN', { guest: true, reason: 'guest-panic' });
      this.#exit(panic === 'exit-failure' ? 1 : 0);
    }
  }

  #watchdog(): void {
    const { watchdog } = this.actions;
    this.#around.emit('WATCHDOG', { action: watchdog });
    if (watchdog === 'reset') this.#reset(true, 'guest-reset');
    else if (watchdog === 'shutdown') this.powerdown();
    // QEMU ends here without a SHUTDOWN.
    else if (watchdog === 'poweroff') this.#exit(0);
    else if (watchdog === 'pause') this.#stop('watchdog');
  }
}
