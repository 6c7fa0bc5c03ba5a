import { open } from 'node:fs/promises';
import { Refusal, type StandInMachine } from './stand-in-machine.js';

/** What `query-dump` answers. */
export interface DumpProgress {
  status: 'none' | 'active' | 'completed' | 'failed';
  completed: number;
  total: number;
}

const CHUNK = 256 * 1024;
/** Small, but enough of them that progress can be seen. */
const CHUNKS = 16;
const FORMATS = ['elf', 'kdump-zlib', 'win-dmp'];

/** `dump-guest-memory` as QEMU does it: what it refuses, what it writes, and how it ends. */
export class StandInDump {
  readonly progress: DumpProgress = { status: 'none', completed: 0, total: 0 };
  readonly formats = FORMATS;
  readonly #machine: StandInMachine;
  readonly #emit: (event: string, data: Record<string, unknown>) => void;

  constructor(
    machine: StandInMachine,
    emit: (event: string, data: Record<string, unknown>) => void,
  ) {
    this.#machine = machine;
    this.#emit = emit;
  }

  /** Resolves when the command may be answered: at once when it is detached. */
  async begin(args: Record<string, unknown>): Promise<void> {
    const { protocol, format = 'elf', paging, detach } = args;
    if (typeof paging !== 'boolean')
      throw new Refusal('GenericError', "Parameter 'paging' is missing");
    if (paging && format !== 'elf') {
      throw new Refusal('GenericError', "kdump-compressed format doesn't support paging or filter");
    }
    if (typeof protocol !== 'string' || !protocol.startsWith('file:')) {
      throw new Refusal('GenericError', "Invalid parameter 'protocol'");
    }
    if (typeof format !== 'string' || !FORMATS.includes(format)) {
      throw new Refusal('GenericError', `Parameter 'format' does not accept value '${format}'`);
    }
    const path = protocol.slice('file:'.length);
    const end = this.#machine.beginDump();
    const file = await open(path, 'w', 0o400).catch((error: NodeJS.ErrnoException) => {
      end();
      throw new Refusal('GenericError', `Could not open '${path}': ${error.code}`);
    });
    Object.assign(this.progress, { status: 'active', completed: 0, total: CHUNK * CHUNKS });
    const written = this.#write(file, format, end);
    if (detach !== true) await written;
  }

  async #write(
    file: Awaited<ReturnType<typeof open>>,
    format: string,
    end: () => void,
  ): Promise<void> {
    let error: string | undefined;
    try {
      const chunk = Buffer.alloc(CHUNK);
      // The signature that a reader of the format looks for: makedumpfile's flattened header, or ELF's.
      chunk.write(format === 'kdump-zlib' ? 'makedumpfile' : '\x7fELF', 'latin1');
      for (let written = 0; written < CHUNKS; written += 1) {
        await file.write(chunk);
        this.progress.completed += CHUNK;
        chunk.fill(0);
      }
      this.progress.status = 'completed';
    } catch (thrown) {
      this.progress.status = 'failed';
      error = `dump: failed to save memory: ${(thrown as NodeJS.ErrnoException).code}`;
    }
    await file.close().catch(() => undefined);
    this.#emit('DUMP_COMPLETED', {
      result: { ...this.progress },
      ...(error !== undefined && { error }),
    });
    end();
  }
}
