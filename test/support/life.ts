import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/config.js';
import { lifeBundle } from './life-bundle.js';
import type { LifeOrder, LifeWord, Spot } from './life-words.js';

const DEADLINE_MS = 15_000;

/** One life of vmwarden on its data directory, in a process of its own. */
export interface Life {
  readonly pid: number;
  /** Resolves with its gRPC address when it serves; rejects with `LifeRefused`, or when it ends before. */
  readonly ready: Promise<string>;
  readonly exited: Promise<LifeExit>;
  /** From now on, the n-th passing of the point kills it. Resolves when it has heard. */
  arm(point: string, nth?: number): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<LifeExit>;
  /** SIGTERM: it stops gracefully. Rejects when it hasn't within 15 s. */
  stop(): Promise<LifeExit>;
  /** Resolves when it has ended; rejects when it lives on after `timeoutMs`. */
  end(timeoutMs?: number): Promise<LifeExit>;
}

export interface LifeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export const KILLED = { code: null, signal: 'SIGKILL' } as const;
export const STOPPED = { code: 0, signal: null, stderr: '' } as const;

/** It would not start, and said why. */
export class LifeRefused extends Error {
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

const lives = new Set<Life>();

/** Starts a life; `killAll` ends those that are left. */
export const spawnLife = (config: Config, killAt: Spot | null = null): Life => {
  const program = lifeBundle();
  const logFile = lifeLog(config);
  const order: LifeOrder = { config, logFile, killAt };
  const child = fork(program, [JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // Not what the test runner was started with.
    execArgv: [],
    env: { PATH: process.env['PATH'] },
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-16_384);
  });
  const exited = new Promise<LifeExit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, stderr }));
  });
  let heard: () => void = () => undefined;
  const ready = new Promise<string>((resolve, reject) => {
    child.on('message', (word: LifeWord) => {
      if (word.kind === 'ready') resolve(word.address);
      else if (word.kind === 'refused') reject(new LifeRefused(word.reason, word.message));
      else heard();
    });
    void exited.then(({ code, signal }) =>
      reject(new Error(`it ended (${code ?? signal}) before it was ready: ${stderr}`)),
    );
  });
  ready.catch(() => undefined);

  const life: Life = {
    pid: child.pid ?? -1,
    ready: within('a life is ready', ready, DEADLINE_MS, logFile),
    exited,
    arm: (point, nth = 1) => {
      const armed = new Promise<void>((resolve) => {
        heard = resolve;
      });
      child.send({ point, nth } satisfies Spot);
      return within(`a life is armed at ${point}`, armed, DEADLINE_MS, logFile);
    },
    kill: () => {
      child.kill('SIGKILL');
      return exited;
    },
    stop: () => {
      child.kill('SIGTERM');
      return life.end();
    },
    end: (timeoutMs = DEADLINE_MS) => within('a life ends', exited, timeoutMs, logFile),
  };
  life.ready.catch(() => undefined);
  lives.add(life);
  void exited.then(() => lives.delete(life));
  return life;
};

/** Starts a life that is to serve. */
export const startLife = async (
  config: Config,
): Promise<{ readonly life: Life; readonly address: string }> => {
  const life = spawnLife(config);
  return { life, address: await life.ready };
};

/** Ends what a failed test left behind. */
export const killLives = async (): Promise<void> => {
  await Promise.all([...lives].map((life) => life.kill()));
};

export const lifeLog = (config: Config): string => join(config.dataDir, '..', 'lives.log');

/** Rejects at the deadline, with the end of what the lives have logged. */
export const within = async <T>(
  what: string,
  promise: Promise<T>,
  timeoutMs: number,
  logFile: string | null = null,
): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const log = logFile === null ? '' : `\n${tailOf(logFile)}`;
      reject(new Error(`not within ${timeoutMs} ms: ${what}${log}`));
    }, timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

/** The last lines of a log, for a test that failed. */
export const tailOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-30).join('\n');
  } catch {
    return '';
  }
};
