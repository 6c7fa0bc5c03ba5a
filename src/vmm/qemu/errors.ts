import { safeText } from '../../event/guest-text.js';
import { Fault } from '../../lib/fault.js';
import type { QmpError } from './messages.js';

const MAX_QUOTE_BYTES = 120;
const quote = (text: string): string => `"${safeText(text, MAX_QUOTE_BYTES)}"`;
const errno = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown';

/** The socket could not be connected to, or broke. */
export const socketFault = (error: unknown, socket: string): Fault => {
  const code = errno(error);
  const fault = (reason: string, message: string): Fault =>
    new Fault('UNAVAILABLE', reason, message, { metadata: { socket, errno: code }, cause: error });
  switch (code) {
    case 'ECONNREFUSED':
      return fault('SOCKET_REFUSED', `nothing listens on ${socket}: its QEMU has ended`);
    case 'ENOENT':
    case 'ENOTDIR':
      return fault(
        'SOCKET_MISSING',
        `there is no socket ${socket}: its QEMU has not started, or has ended`,
      );
    case 'EACCES':
    case 'EPERM':
      return fault('SOCKET_DENIED', `${socket} may not be opened: vmwarden needs to write to it`);
    // The listener's queue is full: QEMU takes no further client while it serves one.
    case 'EAGAIN':
      return fault(
        'SOCKET_BUSY',
        `${socket} takes no more connections: another client holds this monitor (QEMU serves one at a time), or QEMU hangs`,
      );
    case 'ENOTSOCK':
    case 'EPROTOTYPE':
      return fault('NOT_A_SOCKET', `${socket} is not a stream socket`);
    default:
      return fault('CONNECTION_LOST', `the connection to ${socket} broke (${code})`);
  }
};

/** sun_path holds 108 bytes with the closing NUL. */
const MAX_SOCKET_PATH = 107;

/**
 * Node 20 cuts a longer path off without a word, and would connect to another VM's socket of that name.
 * null: it fits.
 */
export const pathFault = (socket: string): Fault | null =>
  Buffer.byteLength(socket) <= MAX_SOCKET_PATH
    ? null
    : new Fault(
        'INVALID_ARGUMENT',
        'SOCKET_PATH_TOO_LONG',
        `${socket} is longer than the ${MAX_SOCKET_PATH} bytes of a socket's path`,
      );

/** True when nobody can be behind the socket. */
export const showsNobody = (fault: Fault): boolean => fault.reason === 'SOCKET_REFUSED';

/** True when the socket's file is not there: anybody can remove it, so it does not show that QEMU has ended. */
export const isMissing = (fault: Fault): boolean => fault.reason === 'SOCKET_MISSING';

/** True when it was the other side that ended the connection. */
export const endedByPeer = (fault: Fault): boolean =>
  fault.reason === 'CONNECTION_CLOSED' || fault.reason === 'CONNECTION_LOST';

export const vanishedFault = (socket: string): Fault =>
  new Fault(
    'UNAVAILABLE',
    'SOCKET_VANISHED',
    `the socket file ${socket} has vanished, and the process of its QEMU lives: the guest can not be reached`,
  );

export const unseenFault = (socket: string): Fault =>
  new Fault(
    'UNAVAILABLE',
    'SOCKET_MISSING',
    `there is no socket ${socket}, and whether its QEMU has ended can not be seen from here`,
  );

export const closedFault = (socket: string): Fault =>
  new Fault('UNAVAILABLE', 'CONNECTION_CLOSED', `${socket} was closed by its QEMU`);

export const neverFault = (socket: string): Fault =>
  new Fault('UNAVAILABLE', 'NOT_CONNECTED', `${socket} is not connected to`);

export const greetingFault = (socket: string, timeoutMs: number): Fault =>
  new Fault(
    'DEADLINE_EXCEEDED',
    'NO_GREETING',
    `${socket} sent no QMP greeting in ${timeoutMs} ms: another client holds this monitor (QEMU serves one at a time), or QEMU hangs`,
  );

export const notQmpFault = (socket: string, line: string): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'NOT_QMP',
    `${socket} does not speak QMP: it began with ${quote(line)}`,
  );

export const garbageFault = (socket: string, line: string): Fault =>
  new Fault('FAILED_PRECONDITION', 'QMP_GARBAGE', `${socket} sent what is not QMP: ${quote(line)}`);

export const lineFault = (socket: string, maxBytes: number): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'QMP_LINE_TOO_LONG',
    `${socket} sent a line of more than ${maxBytes} bytes`,
  );

export const commandTimeoutFault = (commands: string, timeoutMs: number): Fault =>
  new Fault(
    'DEADLINE_EXCEEDED',
    'VMM_SILENT',
    `QEMU did not answer ${commands} in ${timeoutMs} ms`,
  );

export const hungFault = (socket: string): Fault =>
  new Fault('UNAVAILABLE', 'VMM_HUNG', `${socket} has as many commands unanswered as QMP holds`);

export const stoppedFault = (): Fault =>
  new Fault('CANCELLED', 'STOPPED', 'vmwarden no longer watches this VM');

export const unexpectedFault = (command: string): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'QMP_UNEXPECTED',
    `QEMU answered ${command} in a form unknown here`,
  );

/** What QEMU said, for a person. */
export const describe = (error: QmpError): string =>
  `${safeText(error.class, MAX_QUOTE_BYTES)}: ${safeText(error.desc, 400)}`;

export const refusedFault = (command: string, error: QmpError): Fault =>
  new Fault('FAILED_PRECONDITION', 'QMP_REFUSED', `QEMU refused ${command}: ${describe(error)}`);
