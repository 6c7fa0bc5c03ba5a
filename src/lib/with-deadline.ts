/** Waits for `work`, at most `timeoutMs`; undefined: it was not done by then, and goes on. Rejects as `work` does. */
export const withDeadline = async <T>(
  timeoutMs: number,
  work: Promise<T>,
): Promise<T | undefined> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
