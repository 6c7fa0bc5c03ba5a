import type { Running } from '../act.js';
import { parseStatus, QUERY_STATUS } from './commands.js';
import { refusedFault } from './errors.js';
import type { Command } from './messages.js';
import type { Session } from './session.js';

/** Gives QEMU a command and asks for the guest's status behind it, in one write. Throws a Fault when it is refused. */
export const tell = async (
  session: Session,
  running: Running,
  command: Command,
  point: string,
): Promise<string> => {
  running.point(point);
  const sent = session.execute([command, QUERY_STATUS]);
  running.wrote(point);
  const [accepted, status] = await running.wait(sent);
  if (accepted?.ok === false) throw refusedFault(command.name, accepted.error);
  return parseStatus(status);
};
