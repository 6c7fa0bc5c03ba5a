/** What is left of eight bytes wherever they went: as they are, in another order or notation, whole or in halves. */
export const tracesOf = (marker: Buffer): readonly Buffer[] =>
  [marker, Buffer.from(marker).reverse()].flatMap((bytes) => [
    bytes,
    bytes.subarray(0, 4),
    bytes.subarray(4),
    ...[bytes, bytes.subarray(0, 4), bytes.subarray(4)].flatMap((part) => [
      Buffer.from(part.toString('hex')),
      Buffer.from(part.toString('hex').toUpperCase()),
      Buffer.from(BigInt(`0x${part.toString('hex')}`).toString()),
    ]),
    varint(bytes.readBigUInt64BE()),
    ...base64(bytes),
  ]);

/** As protobuf writes a uint64. */
const varint = (value: bigint): Buffer => {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
};

/** At each of the three places in a group where the bytes may begin; without the letters that neighbours share. */
const base64 = (bytes: Buffer): readonly Buffer[] =>
  [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    const first = Math.ceil((8 * before) / 6);
    return Buffer.from(text.slice(first, Math.floor((8 * (before + bytes.length)) / 6)));
  });

/** The traces that are there, as text; empty: none. */
export const tracesIn = (content: string | Uint8Array, traces: readonly Buffer[]): string[] => {
  const bytes = Buffer.from(content);
  return traces.filter((trace) => bytes.includes(trace)).map((trace) => trace.toString('latin1'));
};
