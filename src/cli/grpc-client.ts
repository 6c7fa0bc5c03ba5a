import { type Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo } from '../gen/google/rpc/error_details.js';
import { Status } from '../gen/google/rpc/status.js';
import { Fault, type FaultCode, type Violation } from '../lib/fault.js';
import { listens, notServing } from './listens.js';

type ClientClass<T extends Client> = new (
  address: string,
  channelCredentials: ReturnType<typeof credentials.createInsecure>,
) => T;

/** Gives a client of the service to `use`, and closes it after. Rejects with Faults. */
export const withClient = async <T extends Client, Result>(
  Service: ClientClass<T>,
  socket: string,
  use: (client: T) => Promise<Result>,
): Promise<Result> => {
  const client = new Service(`unix:${socket}`, credentials.createInsecure());
  try {
    return await use(client);
  } finally {
    client.close();
  }
};

/** The same for commands that need a running vmwarden. Faults: NOT_SERVING. */
export const withServing = async <T extends Client, Result>(
  Service: ClientClass<T>,
  socket: string,
  use: (client: T) => Promise<Result>,
): Promise<Result> => {
  if (!(await listens(socket))) throw notServing(socket);
  return withClient(Service, socket, use);
};

export type Callback<Response> = (error: ServiceError | null, response: Response) => void;

/** A unary call as a promise. Rejects with a Fault. */
export const call = <Response>(
  start: (callback: Callback<Response>) => unknown,
): Promise<Response> =>
  new Promise((resolve, reject) => {
    start((error, response) => (error === null ? resolve(response) : reject(faultOf(error))));
  });

/** Commands don't wait longer for an answer; what they asked for may still happen. */
export const deadline = (ms = 30_000): { readonly deadline: number } => ({
  deadline: Date.now() + ms,
});

/** The Fault that the server made a status of; of any other error one with reason GRPC_<STATUS>. */
export const faultOf = (error: unknown): Fault => {
  if (!isServiceError(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return new Fault('INTERNAL', 'CLIENT_FAILED', message, { cause: error });
  }
  const word = status[error.code] ?? 'UNKNOWN';
  const { info, violations } = detailsOf(error);
  // Of a connection that failed grpc-js tells more about its resolver than about the socket.
  const message = error.details.replace(/\. Resolution note:.*$/s, '');
  return new Fault(codeOf(word), info?.reason ?? `GRPC_${word}`, message, {
    violations,
    metadata: info?.metadata ?? {},
    cause: error,
  });
};

/** Of a status that an ack bears, while its stream lives. */
export const faultOfStatus = (told: Status): Fault => {
  const word = status[told.code] ?? 'UNKNOWN';
  const { info, violations } = detailsIn(told);
  return new Fault(codeOf(word), info?.reason ?? `GRPC_${word}`, told.message, {
    violations,
    metadata: info?.metadata ?? {},
  });
};

const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && 'code' in error && 'metadata' in error && 'details' in error;

const CODES: readonly FaultCode[] = [
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'FAILED_PRECONDITION',
  'OUT_OF_RANGE',
  'RESOURCE_EXHAUSTED',
  'ABORTED',
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'UNIMPLEMENTED',
];

const codeOf = (word: string): FaultCode => CODES.find((code) => code === word) ?? 'INTERNAL';

interface Details {
  readonly info: ErrorInfo | null;
  readonly violations: readonly Violation[];
}

const NO_DETAILS: Details = { info: null, violations: [] };

const detailsOf = (error: ServiceError): Details => {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(bytes)) return NO_DETAILS;
  try {
    return detailsIn(Status.decode(bytes));
  } catch {
    return NO_DETAILS;
  }
};

const detailsIn = ({ details }: Status): Details => {
  const find = (type: string) =>
    details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${type}`)?.value;
  const info = find('ErrorInfo');
  const badRequest = find('BadRequest');
  try {
    return {
      info: info === undefined ? null : ErrorInfo.decode(info),
      violations:
        badRequest === undefined
          ? []
          : BadRequest.decode(badRequest).fieldViolations.map(({ field, description }) => ({
              field,
              expected: description,
            })),
    };
  } catch {
    // Another server than ours answers there; its message still tells.
    return NO_DETAILS;
  }
};
