import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { partPath } from '../support/parts.js';

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

export interface ContainerOptions {
  /** The image's files. */
  readonly root: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Directory of this machine that is the container's data directory; else one in memory. */
  readonly dataDir?: string;
  readonly timeoutMs?: number;
}

/**
 * A container under a real OCI runtime, as strict as the `restricted` Pod Security Standard and a read-only root make
 * it: user 65532, no capability, no new privileges, no network, its own processes. Only /tmp and the data directory
 * can be written.
 */
export class Container {
  readonly ended: Promise<Ended>;
  #output = '';

  private constructor(
    private readonly bundle: string,
    private readonly child: ChildProcess,
    timeoutMs: number,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        this.#output += chunk;
      });
    }
    const deadline = setTimeout(() => void this.signal('KILL'), timeoutMs);
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        clearTimeout(deadline);
        resolve({ code, output: this.#output });
      });
    });
  }

  static async start(options: ContainerOptions): Promise<Container> {
    const bundle = await mkdtemp(join(tmpdir(), 'vmwarden-container-'));
    await writeFile(join(bundle, 'config.json'), JSON.stringify(specOf(options)));
    await mkdir(join(bundle, 'state'));
    const args = ['run', '--bundle', bundle, basename(bundle)];
    const child = spawn(partPath('runc'), [...runtimeFlags(bundle), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Container(bundle, child, options.timeoutMs ?? 60_000);
  }

  get output(): string {
    return this.#output;
  }

  /** Runs a program beside the one it was started with, as a probe does. */
  exec(args: readonly string[]): Promise<Ended> {
    return ask([...runtimeFlags(this.bundle), 'exec', basename(this.bundle), ...args]);
  }

  signal(name: 'TERM' | 'KILL'): Promise<Ended> {
    return ask([...runtimeFlags(this.bundle), 'kill', basename(this.bundle), name]);
  }

  async remove(): Promise<void> {
    if (this.child.exitCode === null) await this.signal('KILL');
    await this.ended;
    await ask([...runtimeFlags(this.bundle), 'delete', '--force', basename(this.bundle)]);
    await rm(this.bundle, { recursive: true, force: true });
  }
}

const runtimeFlags = (bundle: string): string[] => ['--root', join(bundle, 'state')];

const ask = (args: readonly string[]): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(partPath('runc'), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 30_000,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });

const specOf = ({ root, args, env, dataDir }: ContainerOptions) => {
  const inMemory = (destination: string, mode: string, owner: number) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', `mode=${mode}`, `uid=${owner}`, `gid=${owner}`, 'size=512m'],
  });
  const data = '/var/lib/vmwarden';
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 65_532, gid: 65_532 },
      args,
      env,
      cwd: '/',
      noNewPrivileges: true,
      capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
    },
    root: { path: root, readonly: true },
    hostname: 'container',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { ...inMemory('/dev', '755', 0), options: ['nosuid', 'strictatime', 'mode=755', 'size=64k'] },
      inMemory('/tmp', '1777', 0),
      dataDir === undefined
        ? inMemory(data, '700', 65_532)
        : { destination: data, type: 'bind', source: dataDir, options: ['bind', 'rw'] },
    ],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    },
  };
};
