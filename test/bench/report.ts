import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { table } from '../../src/cli/table.js';
import { type Figure, passes, type Summary } from './figure.js';
import { findProgram } from './programs.js';
import { median } from './statistics.js';

export const figureTable = (figures: readonly Figure[], quick: boolean): readonly string[] =>
  table([HEADINGS, ...figures.map((figure) => row(figure, quick))]);

/** The same for Markdown. */
export const figureMarkdown = (figures: readonly Figure[], quick: boolean): readonly string[] => {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(HEADINGS),
    line(HEADINGS.map(() => '---')),
    ...figures.map((figure) => line(row(figure, quick))),
  ];
};

const HEADINGS = ['work', 'median', 'p99', 'n', 'against', 'median', 'p99', 'ratio', 'limit', ''];

const row = (figure: Figure, quick: boolean): readonly string[] => {
  if (figure.kind === 'skipped')
    return [figure.name, '', '', '', '', '', '', '', '', `skipped: ${figure.reason}`];
  const { name, unit, ours, floor, ratio, limit, remarks = [] } = figure;
  const verdict = limit === null ? '' : passes(figure, quick) ? 'pass' : 'FAIL';
  return [
    name,
    `${number(ours.median)} ${unit}`,
    p99(ours),
    String(ours.n),
    floor.what,
    `${number(floor.median)} ${unit}`,
    p99(floor),
    `${ratio.toFixed(2)}x`,
    limit === null ? '' : `<= ${limit}x`,
    [verdict, ...remarks].filter((text) => text !== '').join('; '),
  ];
};

const p99 = (summary: Summary): string => (summary.p99 === null ? '' : number(summary.p99));

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** What the figures hold for, without the names of the machine and its places. */
export const machine = (dir: string): readonly string[] => {
  const [cpu] = os.cpus();
  const memory = (os.totalmem() / 1024 ** 3).toFixed(0);
  return [
    `${os.cpus().length} x ${cpu?.model ?? 'unknown CPU'}, ${memory} GiB, Linux ${os.release()}`,
    `Node ${process.version}; ${versionOf('qemu-system-x86_64')}; ${versionOf('libvirtd')}`,
    `fdatasync after 4 kB more of a file on this disk: ${flushMs(dir).toFixed(2)} ms (median of 50)`,
  ];
};

const versionOf = (name: string): string => {
  const program = findProgram(name);
  if (program === null) return `no ${name}`;
  const [line = ''] = execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n');
  return line.replace(program, name);
};

const flushMs = (dir: string): number => {
  const file = openSync(path.join(dir, 'flushes'), 'w');
  const page = Buffer.alloc(4096, 1);
  const samples = Array.from({ length: 50 }, () => {
    writeSync(file, page);
    const start = performance.now();
    fdatasyncSync(file);
    return performance.now() - start;
  });
  closeSync(file);
  return median(samples);
};
