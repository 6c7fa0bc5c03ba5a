import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { isFault } from '../lib/fault.js';
import { describeFault } from './describe-fault.js';
import { errorJson, wrongUse } from './error-json.js';
import { addExamples } from './examples.js';
import { FAILED, GOOD, type Io, WRONG_USE } from './io.js';

interface CommandModule {
  readonly name: string;
  /** As the module itself says it, so that `--help` needs not load them all. */
  readonly description: string;
  readonly load: () => Promise<(program: Command) => void>;
}

export const COMMANDS: readonly CommandModule[] = [
  {
    name: 'serve',
    description: 'watch the VMs, decide by the policy, act, and keep the journal',
    load: async () => (await import('./serve.js')).addServeCommand,
  },
  {
    name: 'demo',
    description: 'show the whole of it at work on two guests of its own, in a few seconds',
    load: async () => (await import('./demo/demo.js')).addDemoCommand,
  },
  {
    name: 'events',
    description: 'list what was seen, decided and done',
    load: async () => (await import('./events.js')).addEventsCommand,
  },
  {
    name: 'vms',
    description: 'list the VMs of this host, and how they are',
    load: async () => (await import('./vms.js')).addVmsCommand,
  },
  {
    name: 'explain',
    description: 'say why a VM was, or was not, acted on, and when it will be next',
    load: async () => (await import('./explain.js')).addExplainCommand,
  },
  {
    name: 'act',
    description: 'act on a VM, verified as the policy’s steps are, or call off what is open',
    load: async () => (await import('./act.js')).addActCommand,
  },
  {
    name: 'hold',
    description: 'do nothing on this VM, or on the host, until it is released',
    load: async () => (await import('./hold.js')).addHoldCommand,
  },
  {
    name: 'budget',
    description: 'look after the budgets of VMs',
    load: async () => (await import('./budget.js')).addBudgetCommand,
  },
  {
    name: 'release',
    description: 'end a hold: a guest that is down is answered now, another from its next event on',
    load: async () => (await import('./release.js')).addReleaseCommand,
  },
  {
    name: 'report',
    description: 'report raw events to a running vmwarden',
    load: async () => (await import('./report.js')).addReportCommand,
  },
  {
    name: 'decode',
    description: 'explain a raw event, or decode JSON lines from stdin',
    load: async () => (await import('./decode.js')).addDecodeCommand,
  },
  {
    name: 'policy',
    description: 'write, check, test and try out the policy file',
    load: async () => (await import('./policy.js')).addPolicyCommand,
  },
  {
    name: 'journal',
    description: 'look into the journal',
    load: async () => (await import('./journal.js')).addJournalCommand,
  },
  {
    name: 'fleet',
    description: 'read the records of all hosts',
    load: async () => (await import('./fleet.js')).addFleetCommand,
  },
  {
    name: 'config',
    description: 'check the configuration',
    load: async () => (await import('./config-check.js')).addConfigCommand,
  },
  {
    name: 'completion',
    description: 'print what makes a shell complete commands and options',
    load: async () => (await import('./completion.js')).addCompletionCommand,
  },
  {
    name: 'healthcheck',
    description: 'ask a running vmwarden whether it serves',
    load: async () => (await import('./healthcheck.js')).addHealthcheckCommand,
  },
];

/** Runs one command. Resolves with its exit code: 0 good, 1 failed, 2 wrong use. */
export const runCli = async (args: readonly string[], io: Io): Promise<number> => {
  // A reader that has seen enough (`| head`) is no failure.
  for (const output of [io.stdout, io.stderr]) {
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(GOOD);
      throw error;
    });
  }
  try {
    const program = await createProgram(args, io);
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? GOOD);
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? GOOD : WRONG_USE;
    }
    if (args.includes('--json')) io.stderr.write(`${JSON.stringify(errorJson(error))}\n`);
    else io.stderr.write(`vmwarden: ${isFault(error) ? describeFault(error) : stackOf(error)}\n`);
    return FAILED;
  }
};

/** Only the command that was chosen is loaded; the others are there by name, for `--help`. */
export const createProgram = async (args: readonly string[], io: Io): Promise<Command> => {
  const json = args.includes('--json');
  const program = new Command('vmwarden')
    .description(
      'Decides what happens when a guest dies, does it, proves it, and keeps the record.',
    )
    .version(packageJson.version, '-V, --version')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      ...(json && { outputError: (text, write) => write(`${JSON.stringify(wrongUse(text))}\n`) }),
    })
    .showHelpAfterError(json ? false : '(--help tells more)')
    .exitOverride();
  const chosen = args[0] === 'help' ? args[1] : args[0];
  for (const { name, description, load } of COMMANDS) {
    if (name === chosen || chosen === 'completion') (await load())(program);
    else program.command(name).description(description);
  }
  addExamples(program);
  return program;
};

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
