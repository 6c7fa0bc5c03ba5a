import { createHash } from 'node:crypto';

/** Runs on the server in one step; all its keys are in one slot. */
export interface Script {
  readonly lua: string;
  readonly sha1: string;
}

export const redisScript = (lua: string): Script => ({
  lua,
  sha1: createHash('sha1').update(lua).digest('hex'),
});
