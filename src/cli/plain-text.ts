// Controls, format characters (zero-width, bidirectional), halves of surrogate pairs, line and paragraph separators.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text as it may be printed to a terminal: nothing in it moves the cursor or hides what stands beside it. */
export const plainText = (text: string): string => text.replace(UNSAFE, '?');
