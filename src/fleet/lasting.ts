import { isFault } from '../lib/fault.js';

/** It won't pass by itself; anything else is tried again. */
export const isLasting = (error: unknown): boolean =>
  !isFault(error) || (error.code !== 'UNAVAILABLE' && error.code !== 'RESOURCE_EXHAUSTED');
