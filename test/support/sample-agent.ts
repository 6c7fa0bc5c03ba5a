import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type AgentProcess, bundleAgent, startAgent } from './agent-process.js';
import { waitFor } from './wait-for.js';

/** The agent that docs/agents.md shows, as it stands there, with its toy VMM. */
export interface SampleAgent {
  readonly process: AgentProcess;
  /** What its VMM says of the guest. */
  guest(): { readonly state: string; readonly bootId: string; readonly boots: number };
  /** Lines of its log, parsed. */
  log(): readonly SampleEntry[];
  /** Steps that it began, and those that it ended. */
  begun(): readonly string[];
  ended(): readonly string[];
  /** The guest dies: resolves when the agent has written that down. */
  die(type?: number): Promise<void>;
  kill(): Promise<void>;
}

export interface SampleEntry {
  readonly event?: { readonly sequence: number };
  readonly acked?: number;
  readonly begun?: string;
  readonly outcome?: { readonly stepId: string; readonly kind: string };
}

const program = (): string => {
  const page = readFileSync('docs/agents.md', 'utf8');
  const text = /^```ts\n([\s\S]*?)^```$/m.exec(page)?.[1];
  if (text === undefined) throw new Error('docs/agents.md shows no agent');
  return bundleAgent({ text });
};

/** `dir` is its memory and its VMM's: started there again it is the same agent. */
export const startSampleAgent = (options: {
  readonly dir: string;
  readonly socket: string;
  readonly vm: string;
  /** Milliseconds before and after a boot. */
  readonly slowness?: number;
}): SampleAgent => {
  const { dir, socket, vm, slowness = 0 } = options;
  mkdirSync(dir, { recursive: true });
  const args = [socket, vm, resolve('proto'), dir, String(slowness)];
  const process = startAgent(program(), args);
  const read = (name: string): string => {
    const file = join(dir, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  const log = (): readonly SampleEntry[] => {
    const text = read('agent.log');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as SampleEntry);
  };
  return {
    process,
    guest: () => JSON.parse(read('vmm.json') || '{"state":"","bootId":"","boots":0}'),
    log,
    begun: () => log().flatMap(({ begun }) => begun ?? []),
    ended: () => log().flatMap(({ outcome }) => outcome?.stepId ?? []),
    die: async (type = 3) => {
      const record = Buffer.alloc(8 + 16 * 8);
      record.writeUInt32LE(type, 0);
      writeFileSync(join(dir, 'exit.new'), record);
      renameSync(join(dir, 'exit.new'), join(dir, 'exit.bin'));
      await waitFor(
        'the agent has taken the exit',
        () => !existsSync(join(dir, 'exit.bin')),
        20_000,
      );
    },
    kill: () => process.kill('SIGKILL'),
  };
};
