/** How many partitions each of `members` consumers holds at most; all are held when each holds so many. */
export const fairShare = (partitions: number, members: number): number =>
  Math.ceil(partitions / Math.max(1, members));
