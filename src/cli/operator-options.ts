import { userInfo } from 'node:os';
import { Metadata } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { VmServiceClient } from '../gen/vmwarden/v1/vm_service.js';
import { addConfigOptions, type ConfigFlags, configOrExit } from './config-options.js';
import { type Callback, call, deadline, withServing } from './grpc-client.js';

/** What every operator's command takes. */
export interface OperatorFlags {
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
  readonly json?: boolean;
}

export const addOperatorOptions = (command: Command): Command =>
  addConfigOptions(
    command
      .requiredOption('--reason <TEXT>', 'why; goes into the journal')
      .option('--actor <NAME>', 'who; goes into the journal (default: the user)')
      .option('--request-id <ID>', 'a repeat with the same id is answered, not done again')
      .option('--json', 'one JSON object a line'),
    ['data-dir', 'socket'],
  );

/** The flags with their defaults, and the socket; or the exit code after what is wrong was printed. */
export const operatorFlags = async <Flags extends ConfigFlags>(
  flags: Flags & Partial<OperatorFlags>,
): Promise<{ readonly socket: string; readonly flags: Flags & OperatorFlags } | number> => {
  const loaded = await configOrExit(flags, process);
  if (typeof loaded === 'number') return loaded;
  const { actor = userName(), reason = '', requestId = '' } = flags;
  return { socket: loaded.config.socket, flags: { ...flags, actor, reason, requestId } };
};

/** A uid that no passwd entry names, as containers have it, is told as a number. */
export const userName = (lookUp: () => { readonly username: string } = userInfo): string => {
  try {
    return lookUp().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
};

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: ReturnType<typeof deadline>,
  callback: Callback<Response>,
) => unknown;

/** One call of VmService. Faults: the server's; NOT_SERVING. */
export const ask = <Request, Response>(
  socket: string,
  method: (client: VmServiceClient) => Unary<Request, Response>,
  request: Request,
): Promise<Response> =>
  withServing(VmServiceClient, socket, (client) =>
    call<Response>((callback) =>
      method(client).call(client, request, new Metadata(), deadline(), callback),
    ),
  );
