/**
 * A number in [0, 1) that depends on the parts alone: the same attempt waits equally long when it is
 * decided again, and attempts of many machines spread out. FNV-1a over UTF-16 units, then murmur3's
 * finalizer, because FNV alone leaves neighbouring inputs close together.
 */
export const jitter = (...parts: readonly (string | number)[]): number => {
  let hash = 0x811c9dc5;
  const text = parts.join('\u0000');
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
};
