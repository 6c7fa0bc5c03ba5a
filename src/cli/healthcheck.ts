import { Metadata } from '@grpc/grpc-js';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type HealthCheckResponse,
  HealthClient,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../gen/grpc/health/v1/health.js';
import { parseDuration } from '../lib/duration.js';
import { isFault } from '../lib/fault.js';
import { HEALTH_DETAIL_KEY } from '../server/health.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { call, deadline, withClient } from './grpc-client.js';
import { FAILED, GOOD, type Io, printJson, printLine } from './io.js';
import { listens, notServing } from './listens.js';
import { plainText } from './plain-text.js';

export interface HealthcheckOptions {
  readonly json?: boolean;
  /** Any answer is good: a supervisor that restarts a server out of service mends nothing. */
  readonly live?: boolean;
  /** Milliseconds. */
  readonly timeout: number;
}

/** 0 when the server at `socket` says SERVING, or with `live` anything, within the time; else 1. */
export const healthcheck = async (
  io: Io,
  socket: string,
  { json = false, live = false, timeout }: HealthcheckOptions,
): Promise<number> => {
  const answer = await ask(socket, timeout);
  if (json) await printJson(io.stdout, { socket, ...answer });
  else {
    await printLine(io.stdout, answer.status);
    for (const line of answer.detail) await printLine(io.stdout, `  ${plainText(line)}`);
  }
  const good = live ? answer.status !== UNREACHABLE : answer.status === 'SERVING';
  return good ? GOOD : FAILED;
};

const UNREACHABLE = 'UNREACHABLE';

interface Answer {
  readonly status: string;
  readonly detail: readonly string[];
}

const ask = (socket: string, timeoutMs: number): Promise<Answer> =>
  withClient(HealthClient, socket, async (client) => {
    let detail: string[] = [];
    try {
      const response = await call<HealthCheckResponse>((callback) => {
        const asked = client.check({ service: '' }, new Metadata(), deadline(timeoutMs), callback);
        asked.on('metadata', (metadata) => {
          detail = metadata.get(HEALTH_DETAIL_KEY).map(String);
        });
      });
      return { status: ServingStatus[response.status] ?? 'UNKNOWN', detail };
    } catch (error) {
      if (!(await listens(socket))) {
        return { status: UNREACHABLE, detail: [notServing(socket).message] };
      }
      const why = isFault(error) ? error.message : String(error);
      return { status: UNREACHABLE, detail: [`${socket}: ${why}`] };
    }
  });

/** Adds `vmwarden healthcheck`. */
export const addHealthcheckCommand = (program: Command): void => {
  addConfigOptions(
    program
      .command('healthcheck')
      .description('ask a running vmwarden whether it serves')
      .addOption(
        new Option('--timeout <DURATION>', 'wait at most this long for the answer')
          .default(2000, '2s')
          .argParser(timeoutOf),
      )
      .option('--live', 'any answer is good, also that it is out of service')
      .option('--json', 'one JSON object'),
    ['data-dir', 'socket'],
  ).action(async (flags: ConfigFlags & HealthcheckOptions) => {
    const loaded = await configOrExit(flags, process);
    process.exitCode =
      typeof loaded === 'number' ? loaded : await healthcheck(process, loaded.config.socket, flags);
  });
};

const timeoutOf = (text: string): number => {
  const parsed = parseDuration(text, { minMs: 1, maxMs: 600_000 });
  if (parsed.ok) return parsed.ms;
  throw new InvalidArgumentError(`Expected ${parsed.expected}.`);
};
