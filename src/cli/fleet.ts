import { type Command, InvalidArgumentError } from 'commander';
import { SETTINGS } from '../config/settings.js';
import { createFleet } from '../fleet/create-fleet.js';
import { RECORD_KINDS } from '../fleet/filter-problems.js';
import type { Fleet } from '../fleet/fleet.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { wrongUse } from './error-json.js';
import { fleetGaps } from './fleet-gaps.js';
import { fleetHosts } from './fleet-hosts.js';
import { type FleetTailOptions, fleetTail } from './fleet-tail.js';
import { type Io, printJson, printLine, WRONG_USE } from './io.js';

/** Adds `vmwarden fleet`. */
export const addFleetCommand = (program: Command): void => {
  const fleet = program.command('fleet').description('read the records of all hosts');
  withBusOptions(
    fleet
      .command('tail')
      .description('follow the records of all hosts')
      .option('--host <NAME...>', 'only of these hosts')
      .option('--vm <ID...>', 'only of these VMs')
      .option(
        '--kind <KIND...>',
        'only event, decision, step, vm, policy, operator, loss or host',
        kinds,
      )
      .option('--from <WHERE>', 'beginning or now', from, 'now')
      .option('--until-newest', 'end at what is the newest now')
      .option('--json', 'one JSON object a line'),
  ).action((flags: ConfigFlags & FleetTailOptions) =>
    withFleet(flags, process, (opened) => fleetTail(process, opened, flags)),
  );
  withBusOptions(
    fleet
      .command('hosts')
      .description('list the hosts, what they published last, and who is behind')
      .option('--json', 'one JSON object a line'),
  ).action((flags: ConfigFlags & { readonly json?: boolean }) =>
    withFleet(flags, process, (opened) => fleetHosts(process, opened, flags)),
  );
  withBusOptions(
    fleet
      .command('gaps')
      .description("check that every host's records are all there")
      .option('--json', 'one JSON object a line'),
  ).action((flags: ConfigFlags & { readonly json?: boolean }) =>
    withFleet(flags, process, (opened) => fleetGaps(process, opened, flags)),
  );
};

/** The bus of the configuration: file, environment and flags as `serve` takes them. */
const withBusOptions = (command: Command): Command =>
  addConfigOptions(
    command,
    SETTINGS.filter(({ path }) => path[0] === 'bus').map(({ flag }) => flag),
  );

const withFleet = async (
  flags: ConfigFlags,
  io: Io,
  command: (fleet: Fleet) => Promise<number>,
): Promise<void> => {
  const loaded = await configOrExit(flags, io);
  if (typeof loaded === 'number') {
    process.exitCode = loaded;
    return;
  }
  const { bus } = loaded.config;
  if (bus.kind === 'local') {
    const message = 'no fleet bus is named: set bus.url, or say --bus-url';
    if (flags['json'] === true) await printJson(io.stderr, wrongUse(message));
    else await printLine(io.stderr, `vmwarden: ${message}`);
    process.exitCode = WRONG_USE;
    return;
  }
  const fleet = createFleet(bus.fleet, { ...bus, password: null });
  try {
    process.exitCode = await command(fleet);
  } finally {
    await fleet.close();
  }
};

const kinds = (text: string, before: readonly string[] = []): string[] => {
  if (RECORD_KINDS.includes(text)) return [...before, text];
  throw new InvalidArgumentError(`Expected one of ${RECORD_KINDS.join(', ')}.`);
};

const from = (text: string): string => {
  if (text === 'beginning' || text === 'now') return text;
  throw new InvalidArgumentError('Expected beginning or now.');
};
