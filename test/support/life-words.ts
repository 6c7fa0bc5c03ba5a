import type { Config } from '../../src/config/config.js';

/** A named point, and which passing of it counts. */
export interface Spot {
  readonly point: string;
  readonly nth: number;
}

/** What a life is born with. */
export interface LifeOrder {
  readonly config: Config;
  readonly logFile: string;
  readonly killAt: Spot | null;
}

/** What it tells whoever started it. */
export type LifeWord =
  | { readonly kind: 'ready'; readonly address: string }
  | { readonly kind: 'armed' }
  /** It could not start; the reason of the Fault, empty when it was none. */
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string };
