import { type ConfigFlags, configOrExit } from './config-options.js';
import { openSource } from './open-source.js';
import type { RecordSource } from './record-source.js';

/** Runs what only reads, on a running vmwarden or its journal, and exits with what it answers. */
export const readRecords = async (
  flags: ConfigFlags,
  read: (source: RecordSource) => Promise<number>,
): Promise<void> => {
  const loaded = await configOrExit(flags, process);
  if (typeof loaded === 'number') {
    process.exitCode = loaded;
    return;
  }
  const source = await openSource(loaded.config);
  try {
    process.exitCode = await read(source);
  } finally {
    await source.close();
  }
};
