/** So many of something at once. */
export interface Slots {
  readonly max: number;
  /** null: none is left; else the way to give it back. */
  take(): (() => void) | null;
}

export const createSlots = (max: number): Slots => {
  let taken = 0;
  return {
    max,
    take: () => {
      if (taken >= max) return null;
      taken += 1;
      return () => {
        taken -= 1;
      };
    },
  };
};
