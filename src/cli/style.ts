import { styleText } from 'node:util';
import type { Io, Output } from './io.js';

export type Style = (format: 'bold' | 'dim' | 'red' | 'yellow' | 'green', text: string) => string;

/** Colours only for a person: on a terminal, unless NO_COLOR says otherwise. */
export const styleOf = (output: Output, env: Io['env']): Style =>
  output.isTTY === true && !env['NO_COLOR']
    ? (format, text) => styleText(format, text, { validateStream: false })
    : (_format, text) => text;
