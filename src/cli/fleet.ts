import { type Command, InvalidArgumentError } from 'commander';
import type { Fleet } from '../fleet/fleet.js';
import { openFleet } from '../fleet/open-fleet.js';
import { isFault } from '../lib/fault.js';
import { describeFault } from './describe-fault.js';
import { fleetGaps } from './fleet-gaps.js';
import { fleetHosts } from './fleet-hosts.js';
import { addFleetOptions, type FleetFlags, fleetOptions } from './fleet-options.js';
import { type FleetTailOptions, fleetTail } from './fleet-tail.js';
import { type Io, WRONG_USE } from './io.js';

/** Adds `vmwarden fleet`. */
export const addFleetCommand = (program: Command): void => {
  const fleet = program.command('fleet').description('read the records of all hosts');
  addFleetOptions(
    fleet
      .command('tail')
      .description('follow the records of all hosts')
      .option('--host <NAME...>', 'only of these hosts')
      .option('--vm <ID...>', 'only of these VMs')
      .option('--kind <KIND...>', 'only event, decision, step, vm, policy, operator or loss', kinds)
      .option('--from <WHERE>', 'beginning or now', from, 'now')
      .option('--until-newest', 'end at what is the newest now')
      .option('--json', 'one JSON object a line'),
  ).action((flags: FleetFlags & FleetTailOptions) =>
    withFleet(flags, process, (opened) => fleetTail(process, opened, flags)),
  );
  addFleetOptions(
    fleet
      .command('hosts')
      .description('list the hosts, what they published last, and who is behind')
      .option('--json', 'one JSON object a line'),
  ).action((flags: FleetFlags & { readonly json?: boolean }) =>
    withFleet(flags, process, (opened) => fleetHosts(process, opened, flags)),
  );
  addFleetOptions(
    fleet
      .command('gaps')
      .description("check that every host's records are all there")
      .option('--json', 'one JSON object a line'),
  ).action((flags: FleetFlags & { readonly json?: boolean }) =>
    withFleet(flags, process, (opened) => fleetGaps(process, opened, flags)),
  );
};

const withFleet = async (
  flags: FleetFlags,
  io: Io,
  command: (fleet: Fleet) => Promise<number>,
): Promise<void> => {
  let fleet: Fleet | null = null;
  try {
    fleet = openFleet(fleetOptions(flags, io));
    process.exitCode = await command(fleet);
  } catch (error) {
    if (!isFault(error) || error.code !== 'INVALID_ARGUMENT') throw error;
    io.stderr.write(`vmwarden: ${describeFault(error)}\n`);
    process.exitCode = WRONG_USE;
  } finally {
    await fleet?.close();
  }
};

const KINDS = ['event', 'decision', 'step', 'vm', 'policy', 'operator', 'loss'];

const kinds = (text: string, before: readonly string[] = []): string[] => {
  if (KINDS.includes(text)) return [...before, text];
  throw new InvalidArgumentError(`Expected one of ${KINDS.join(', ')}.`);
};

const from = (text: string): string => {
  if (text === 'beginning' || text === 'now') return text;
  throw new InvalidArgumentError('Expected beginning or now.');
};
