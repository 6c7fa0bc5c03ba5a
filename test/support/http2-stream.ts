import { type ClientHttp2Stream, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';

/**
 * A server stream asked for over bare HTTP/2. Unlike a gRPC client it takes nothing from the connection
 * beyond HTTP/2's window of 64 KiB until it is read.
 */
export const openStream = (
  socket: string,
  path: string,
  request: Uint8Array,
  { end = true }: { readonly end?: boolean } = {},
): { readonly stream: ClientHttp2Stream; close(): void } => {
  const session = connect('http://localhost', { createConnection: () => connectSocket(socket) });
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const message = Buffer.concat([prefix(request.length), request]);
  if (end) stream.end(message);
  else stream.write(message);
  return { stream, close: () => session.destroy() };
};

/** The messages of a whole response body. */
export const messagesOf = (body: Buffer): Buffer[] => {
  const messages: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32BE(at + 1);
    messages.push(body.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return messages;
};

/** Not compressed, and the length. */
const prefix = (length: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length, 1);
  return bytes;
};
