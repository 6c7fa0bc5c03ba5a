#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';

if (process.argv[2] === 'serve') {
  // While a program is loaded Node's own path functions get hot, and compiling them optimized takes 4 to 5 MB that stay.
  // `serve` turns it on again once it serves. These come first: under other flags V8 refuses Node's code cache.
  await Promise.all([import('node:http2'), import('node:crypto'), import('node:child_process')]);
  setFlagsFromString('--no-opt');
  await import('../dist/serve.js');
} else {
  await import('../dist/main.js');
}
