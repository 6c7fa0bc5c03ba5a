export interface EscapedText {
  /** 0x20 to 0x7e and nothing else. */
  readonly text: string;
  /** A byte was escaped, or the text was cut at the limit. */
  readonly changed: boolean;
}

const HEX = '0123456789abcdef';
const encoder = new TextEncoder();

/**
 * Makes untrusted text safe to print: at most `maxBytes` bytes up to the first NUL; 0x20 to 0x7e stay,
 * any other byte becomes `\xNN` in lower case. A string counts and is escaped as its UTF-8 bytes. The
 * answer is at most four characters for each byte. It is still the guest's word: never a path, a label
 * or a shell argument.
 */
export const escapeText = (source: Uint8Array | string, maxBytes: number): EscapedText => {
  // A UTF-16 unit is at least one byte of UTF-8: never encode more of a long string than can be kept.
  const bytes = typeof source === 'string' ? encoder.encode(source.slice(0, maxBytes + 1)) : source;
  const limit = Math.min(bytes.length, maxBytes);
  let text = '';
  let changed = false;
  let at = 0;
  for (; at < limit; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === 0) return { text, changed };
    if (!isPrintable(byte)) changed = true;
    text += escaped(byte);
  }
  return { text, changed: changed || (at < bytes.length && bytes[at] !== 0) };
};

/**
 * A name that a reporter chose, as it may be shown: its first `maxBytes` bytes escaped like guest text, a NUL too, since
 * nothing behind one may vanish unseen. What was cut ends in `...`.
 */
export const boundedName = (name: string, maxBytes: number): string => {
  const bytes = encoder.encode(name.slice(0, maxBytes + 1));
  let text = '';
  for (const byte of bytes.subarray(0, maxBytes)) text += escaped(byte);
  return bytes.length > maxBytes ? `${text}...` : text;
};

const isPrintable = (byte: number): boolean => byte >= 0x20 && byte <= 0x7e;

const escaped = (byte: number): string =>
  isPrintable(byte)
    ? String.fromCharCode(byte)
    : `\\x${HEX.charAt(byte >> 4)}${HEX.charAt(byte & 15)}`;

/** The text of `escapeText`, for callers that don't mark what was changed. */
export const safeText = (source: Uint8Array | string, maxBytes: number): string =>
  escapeText(source, maxBytes).text;
