import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { partPath } from '../support/parts.js';

/** An image's configuration, as the Docker format has it. */
export interface ImageConfig {
  readonly architecture: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
    readonly Volumes: Readonly<Record<string, object>>;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Healthcheck: { readonly Test: readonly string[] };
  };
}

/** Images in a directory of their own, made by a real buildah that needs no daemon and no registry. */
export class ImageStore {
  private constructor(readonly dir: string) {}

  static async open(): Promise<ImageStore> {
    return new ImageStore(await mkdtemp(join(tmpdir(), 'vmwarden-images-')));
  }

  /** What it printed. Rejects with both its outputs. */
  async buildah(args: readonly string[], timeoutMs = 240_000): Promise<string> {
    const store = ['--root', join(this.dir, 'store'), '--runroot', join(this.dir, 'run')];
    const { stdout } = await promisify(execFile)(
      partPath('buildah'),
      [...store, '--storage-driver', 'vfs', ...args],
      { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
    );
    return stdout.trim();
  }

  /** An image of one layer with the files of `tree`. Resolves with its name, pinned by digest. */
  async import(name: string, tree: string, config: readonly string[] = []): Promise<string> {
    const container = await this.buildah(['from', 'scratch']);
    await this.buildah(['copy', '--quiet', container, tree, '/']);
    await this.buildah(['config', ...config, container]);
    await this.buildah(['commit', '--quiet', '--rm', container, `localhost/${name}`]);
    const format = ['--type', 'image', '--format', '{{.FromImageDigest}}'];
    const digest = await this.buildah(['inspect', ...format, `localhost/${name}`]);
    return `localhost/${name}@${digest}`;
  }

  /** `podman build` and `docker build` read the same file; here without isolation by a container engine. */
  build(name: string, context: string, flags: readonly string[]): Promise<string> {
    const chosen = ['--isolation', 'chroot', '--format', 'docker', '--pull-never', '--quiet'];
    return this.buildah(['build', ...chosen, '--tag', `localhost/${name}`, ...flags, context]);
  }

  async config(name: string): Promise<ImageConfig> {
    const text = await this.buildah(['inspect', '--type', 'image', `localhost/${name}`]);
    return JSON.parse(text).Docker;
  }

  /** Path of a writable copy of the image's files, there until `close`. */
  async files(name: string): Promise<string> {
    const container = await this.buildah(['from', '--pull-never', `localhost/${name}`]);
    return this.buildah(['mount', container]);
  }

  async close(): Promise<void> {
    await this.buildah(['umount', '--all']).catch(() => undefined);
    await rm(this.dir, { recursive: true, force: true });
  }
}
