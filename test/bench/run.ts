import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { decoding, normalizing } from './computing.js';
import { deciding } from './deciding.js';
import { type Bench, type BenchContext, type Figure, passes } from './figure.js';
import { fleetLoad } from './fleet-load.js';
import { idleMemory } from './idle-memory.js';
import { ingest } from './ingest.js';
import { relay } from './relay.js';
import { figureMarkdown, figureTable, machine } from './report.js';
import { restart } from './restart.js';
import { simulating } from './simulating.js';
import { startUp } from './start-up.js';

const BENCHES: readonly Bench[] = [
  restart,
  startUp,
  idleMemory,
  normalizing,
  decoding,
  deciding,
  simulating,
  ingest,
  relay,
  fleetLoad,
];

const options = new Command('npm run bench --')
  .description('measures what vmwarden costs, each figure beside its floor in the same run')
  .option('--only <NAME>', `one of ${BENCHES.map(({ name }) => name).join(', ')}`)
  .option('--quick', 'fewer rounds; fails only where a ratio is twice its limit')
  .option('--json', 'one JSON object')
  .option('--markdown', 'tables for docs/performance.md')
  .parse()
  .opts<{ only?: string; quick?: true; json?: true; markdown?: true }>();

const chosen = BENCHES.filter(({ name }) => options.only === undefined || options.only === name);
const quick = options.quick === true;

const main = async (): Promise<number> => {
  if (chosen.length === 0) {
    console.error(`--only ${options.only}: there is ${BENCHES.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  const bundle = path.dirname(fileURLToPath(import.meta.url));
  const socketDir = mkdtempSync(path.join(tmpdir(), 'vmb-'));
  process.on('exit', () => rmSync(socketDir, { recursive: true, force: true }));
  const context: BenchContext = {
    quick,
    program: copyOfProduct(bundle),
    floors: path.join(bundle, 'floors'),
    dir: path.join(bundle, 'data'),
    socketDir,
    say: (line) => console.error(line),
  };
  mkdirSync(context.dir);
  const figures: Figure[] = [];
  for (const { name, run } of chosen) {
    context.say(`${name} ...`);
    figures.push(...(await run(context)));
  }
  print(figures, machine(context.dir));
  return figures.every((figure) => passes(figure, quick)) ? 0 : 1;
};

/** So that a build meanwhile changes nothing of what is measured. */
const copyOfProduct = (into: string): string => {
  const product = path.join(into, 'product');
  for (const part of ['bin', 'dist']) {
    cpSync(part, path.join(product, part), { recursive: true });
  }
  writeFileSync(path.join(product, 'package.json'), '{"type":"module"}');
  return path.join(product, 'bin/vmwarden.js');
};

const print = (figures: readonly Figure[], facts: readonly string[]): void => {
  if (options.json === true) {
    const judged = figures.map((figure) => ({ ...figure, passes: passes(figure, quick) }));
    console.log(JSON.stringify({ quick, machine: facts, figures: judged }, null, 2));
    return;
  }
  const lines =
    options.markdown === true
      ? [...facts.map((fact) => `- ${fact}`), '', ...figureMarkdown(figures, quick)]
      : [...facts, '', ...figureTable(figures, quick)];
  for (const line of lines) console.log(line);
};

process.exitCode = await main();
