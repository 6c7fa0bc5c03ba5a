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
    if (byte >= 0x20 && byte <= 0x7e) {
      text += String.fromCharCode(byte);
    } else {
      text += `\\x${HEX.charAt(byte >> 4)}${HEX.charAt(byte & 15)}`;
      changed = true;
    }
  }
  return { text, changed: changed || (at < bytes.length && bytes[at] !== 0) };
};

/** The text of `escapeText`, for callers that don't mark what was changed. */
export const safeText = (source: Uint8Array | string, maxBytes: number): string =>
  escapeText(source, maxBytes).text;
