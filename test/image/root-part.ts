import { describe } from 'vitest';
import type { PartName } from '../../scripts/parts.mjs';
import { describePart } from '../support/parts.js';

/** `describePart` for what only root may do: build images and start containers. */
export function describeRootPart(
  needed: readonly PartName[],
  title: string,
  body: () => void,
): void {
  if (process.getuid?.() === 0) describePart(needed, title, body);
  else describe.skipIf(true)(`${title} [needs root, to build images and start containers]`, body);
}
