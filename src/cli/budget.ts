import type { Command } from 'commander';
import type { ResetBudgetRequest, ResetBudgetResponse } from '../gen/vmwarden/v1/vm_service.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { addOperatorOptions, ask, type OperatorFlags, operatorFlags } from './operator-options.js';
import { plainText } from './plain-text.js';
import { vmJson } from './vms.js';

/** Forgets the attempts of a budget; empty: of all. Rejects with the server's Fault. */
export const budgetReset = async (
  io: Io,
  socket: string,
  vmId: string,
  budget: string,
  { actor, reason, requestId, json = false }: OperatorFlags,
): Promise<number> => {
  const { vm } = await ask<ResetBudgetRequest, ResetBudgetResponse>(
    socket,
    (client) => client.resetBudget,
    {
      vmId,
      budget,
      actor,
      reason,
      requestId,
    },
  );
  const what = budget === '' ? 'All budgets' : `Budget ${budget}`;
  if (json) await printJson(io.stdout, vm === undefined ? {} : vmJson(vm));
  else await printLine(io.stdout, plainText(`${what} of ${vmId} begin afresh.`));
  return GOOD;
};

/** Adds `vmwarden budget reset`. */
export const addBudgetCommand = (program: Command): void => {
  const budget = program.command('budget').description('look after the budgets of VMs');
  addOperatorOptions(
    budget
      .command('reset')
      .description('forget the attempts that a VM’s budgets have counted')
      .argument('<vm>', 'id of the VM')
      .argument('[budget]', 'name of the budget; all without it', ''),
  ).action(async (vm: string, name: string, given: OperatorFlags) => {
    const ready = await operatorFlags(
      given as OperatorFlags & { readonly [flag: string]: unknown },
    );
    process.exitCode =
      typeof ready === 'number'
        ? ready
        : await budgetReset(process, ready.socket, vm, name, ready.flags);
  });
};
