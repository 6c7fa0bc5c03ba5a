import { type FSWatcher, watch } from 'node:fs';

/**
 * Tells that something changed in directories, as far as inotify does: it may miss changes, so who wants the truth looks
 * for himself from time to time.
 */
export class DirectoryWatches {
  readonly #onChange: () => void;
  readonly #watchers = new Map<string, FSWatcher>();
  /** Why some directories are not watched; null: all are. */
  problem: string | null = null;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Watches these and no others. True: some are new, in which things may have changed before they were watched. */
  set(directories: ReadonlyMap<string, string>): boolean {
    const wanted = new Map([...directories].map(([path, mark]) => [`${mark} ${path}`, path]));
    for (const [key, watcher] of this.#watchers) {
      if (wanted.has(key)) continue;
      watcher.close();
      this.#watchers.delete(key);
    }
    this.problem = null;
    let added = false;
    for (const [key, path] of wanted) {
      if (this.#watchers.has(key)) continue;
      try {
        const watcher = watch(path, { persistent: false }, this.#onChange);
        watcher.on('error', () => {
          watcher.close();
          this.#watchers.delete(key);
          this.#onChange();
        });
        this.#watchers.set(key, watcher);
        added = true;
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
        // It went right after it was seen.
        if (code === 'ENOENT') continue;
        this.problem = `${path} can't be watched: ${code}`;
        // The system's limit of watches or of open files: the others would meet it as well.
        break;
      }
    }
    return added;
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}
