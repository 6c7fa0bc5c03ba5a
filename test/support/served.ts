import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { connectLife, type LifeClient } from './life-client.js';
import { waitFor } from './wait-for.js';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `vmwarden serve` as it is installed: the program itself, a configuration file, signals. */
export class Served {
  readonly ended: Promise<Exit>;
  #log = '';

  private constructor(
    private readonly child: ChildProcess,
    readonly client: LifeClient,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        this.#log += chunk;
      });
    }
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Resolves when it answers. `config` is what the file says. */
  static async start(dir: string, config: object): Promise<Served> {
    const file = join(dir, 'vmwarden.yaml');
    const socket = join(dir, 'grpc.sock');
    await writeFile(file, JSON.stringify({ ...config, listen: { socket } }));
    const child = spawn(process.execPath, ['bin/vmwarden.js', 'serve', '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    });
    const served = new Served(child, connectLife(`unix:${socket}`));
    await waitFor(
      `serving:\n${served.log}`,
      () => {
        if (child.exitCode !== null) throw new Error(`it ended:\n${served.log}`);
        return served.log.includes('"message":"serving"');
      },
      30_000,
    );
    return served;
  }

  get log(): string {
    return this.#log;
  }

  /** As a kubelet does it. */
  terminate(): Promise<Exit> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}
