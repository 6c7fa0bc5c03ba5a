/** Redis' answers as text; what is not of the form that was asked for is left out. */

export const textOf = (answer: unknown): string | null =>
  answer === null || answer === undefined ? null : String(answer);

/** Of HGETALL: field, value, field, value, ... */
export const hashOf = (answer: unknown): Map<string, string> => {
  const found = new Map<string, string>();
  if (!Array.isArray(answer)) return found;
  for (let index = 0; index + 1 < answer.length; index += 2) {
    found.set(String(answer[index]), String(answer[index + 1]));
  }
  return found;
};
