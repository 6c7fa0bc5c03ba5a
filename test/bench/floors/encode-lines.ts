/** The least that reading JSON lines and writing one back each can cost: parse and print, nothing between. */
export const parseLines = (text: Buffer): number => {
  let bytes = 0;
  for (const line of text.toString('utf8').trimEnd().split('\n')) {
    bytes += JSON.stringify({ arch: JSON.parse(line).arch }).length;
  }
  return bytes;
};
