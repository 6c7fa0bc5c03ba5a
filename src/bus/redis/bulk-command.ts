import { Command } from 'ioredis';

/**
 * A command of hundreds of arguments, written in one piece: ioredis makes three small buffers of each argument, which
 * takes it longer than Redis takes for the record.
 */
export class BulkCommand extends Command {
  override toWritable(): Buffer {
    return encodeCommand([this.name, ...(this.args as (string | Buffer)[])]);
  }
}

/** RESP: `*<count>`, then `$<length>` and the bytes of each part. */
export const encodeCommand = (parts: readonly (string | Buffer)[]): Buffer => {
  let size = LENGTH_ROOM;
  for (const part of parts) size += LENGTH_ROOM + Buffer.byteLength(part) + 2;
  const bytes = Buffer.allocUnsafe(size);
  let at = writeLength(bytes, 0, STAR, parts.length);
  for (const part of parts) {
    if (typeof part === 'string') {
      at = writeLength(bytes, at, DOLLAR, Buffer.byteLength(part));
      at += bytes.write(part, at);
    } else {
      at = writeLength(bytes, at, DOLLAR, part.length);
      bytes.set(part, at);
      at += part.length;
    }
    bytes[at] = CR;
    bytes[at + 1] = LF;
    at += 2;
  }
  return bytes.subarray(0, at);
};

const [STAR, DOLLAR, CR, LF, ZERO] = [0x2a, 0x24, 0x0d, 0x0a, 0x30];
/** A mark, ten digits and a line's end. */
const LENGTH_ROOM = 13;

const writeLength = (bytes: Buffer, at: number, mark: number, length: number): number => {
  bytes[at] = mark;
  let digits = 1;
  for (let rest = length; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
  let rest = length;
  for (let place = at + digits; place > at; place -= 1) {
    bytes[place] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  const end = at + 1 + digits;
  bytes[end] = CR;
  bytes[end + 1] = LF;
  return end + 2;
};
