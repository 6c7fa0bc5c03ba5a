// Bundles what runs into dist/: the program, the fleet library and the stand-in guest.
// lmdb stays outside (native code); commands that main imports lazily become chunks of their own.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const stamp = join(dist, '.built');

/** Name in dist/ (all side by side, so that `new URL('./x.js', import.meta.url)` works in any chunk) → source. */
const entries = {
  main: 'src/main.ts',
  fleet: 'src/fleet/open-fleet.ts',
  'stand-in': 'src/guest/stand-in.ts',
};

/**
 * `serve` alone, for a start that reads a dozen files: what commands share is else cut into chunks for each set of
 * them that shares it, some fifty for `serve`, and Node takes time and memory for each.
 */
const serveEntries = { serve: 'src/main.ts' };

const allEntries = { ...entries, ...serveEntries };

/** @type {import('esbuild').Plugin} */
const serveAlone = {
  name: 'serve-alone',
  setup: ({ onResolve }) => {
    onResolve({ filter: /^[.]/ }, ({ path, importer, kind }) =>
      kind === 'dynamic-import' && importer.endsWith('/cli/program.ts') && path !== './serve.js'
        ? { path, external: true }
        : undefined,
    );
  },
};

/**
 * By `require`: that is one file for the whole package, where `import` finds 25.
 *
 * @type {import('esbuild').Plugin}
 */
const requiredLmdb = {
  name: 'required-lmdb',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^lmdb$/, namespace: 'file' }, () => ({ path: 'lmdb', namespace: 'lmdb' }));
    onLoad({ filter: /.*/, namespace: 'lmdb' }, () => ({
      contents:
        "import { createRequire } from 'node:module';\nexport const { open } = createRequire(import.meta.url)('lmdb');",
    }));
  },
};

/**
 * How the program is bundled, and what it is measured against.
 *
 * @satisfies {import('esbuild').BuildOptions}
 */
export const bundleOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  // proto-loader is reached from grpc-js' channelz alone, which nothing here serves.
  external: ['lmdb', '@grpc/proto-loader'],
  plugins: [requiredLmdb],
  loader: { '.binpb': 'binary' },
  // CommonJS packages inside an ES module bundle still call `require` for Node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  legalComments: 'none',
  logLevel: 'warning',
};

/** @satisfies {import('esbuild').BuildOptions} */
const splitOptions = {
  ...bundleOptions,
  absWorkingDir: root,
  outdir: 'dist',
  splitting: true,
  chunkNames: '[name]-[hash]',
};

/** The bundle of `serve`, not written. */
export const bundleServe = () =>
  bundle({
    ...splitOptions,
    entryPoints: serveEntries,
    plugins: [requiredLmdb, serveAlone],
    metafile: true,
    write: false,
  });

/**
 * Files appear whole, and the entry points after the chunks they name, because a test may start the
 * program while another run builds it. For the same reason `keepOld` leaves earlier chunks in place.
 *
 * @param {{ keepOld?: boolean }} [options]
 */
export async function build({ keepOld = false } = {}) {
  const startedAt = new Date();
  const results = await Promise.all([
    bundle({
      ...splitOptions,
      entryPoints: Object.fromEntries(
        Object.entries(entries).filter(
          ([, source]) => modifiedAt(join(root, source)) !== undefined,
        ),
      ),
      write: false,
    }),
    bundleServe(),
  ]);
  // What both have has the same name, and is the same.
  const made = new Map(
    results.flatMap(({ outputFiles }) => outputFiles).map((file) => [basename(file.path), file]),
  );

  mkdirSync(dist, { recursive: true });
  const isEntry = (/** @type {string} */ path) => basename(path, '.js') in allEntries;
  const files = [...made.values()].toSorted(
    (a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)),
  );
  for (const file of files) {
    const partial = `${file.path}.${process.pid}`;
    writeFileSync(partial, file.contents);
    renameSync(partial, file.path);
  }
  if (!keepOld) {
    for (const name of readdirSync(dist)) {
      if (!made.has(name)) rmSync(join(dist, name), { recursive: true });
    }
  }
  // Dated at the start: a source that changed while we built makes the build stale.
  writeFileSync(stamp, `${startedAt.toISOString()}\n`);
  return files.map((file) => ({ name: basename(file.path), bytes: file.contents.length }));
}

/** Whether dist/ was built from the sources as they are now, judged by modification times. */
export function isFresh() {
  const builtAt = Date.parse(readStamp());
  if (Number.isNaN(builtAt)) return false;
  const isBuilt = (/** @type {string} */ name) =>
    modifiedAt(join(dist, `${name}.js`)) !== undefined;
  if (!Object.keys(allEntries).every(isBuilt)) {
    return false;
  }
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).map(
    (path) => join(root, 'src', path),
  );
  return [...sources, join(root, 'package-lock.json'), fileURLToPath(import.meta.url)].every(
    (path) => (modifiedAt(path) ?? 0) < builtAt,
  );
}

function readStamp() {
  try {
    return readFileSync(stamp, 'utf8').trim();
  } catch {
    return '';
  }
}

/** @param {string} path */
function modifiedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const startedAt = performance.now();
  const files = await build();
  const kilobytes = Math.round(files.reduce((sum, file) => sum + file.bytes, 0) / 1000);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  for (const source of Object.values(entries)) {
    if (modifiedAt(join(root, source)) === undefined) {
      console.error(`there is no ${source} to bundle`);
      process.exitCode = 1;
    }
  }
  console.log(`built dist/ (${files.length} files, ${kilobytes} kB) in ${seconds} s`);
}
