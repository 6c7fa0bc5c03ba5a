import * as z from 'zod';
import type { Path } from './problem.js';

/** The keys that the schema knows at this place of a document; empty where it takes any. */
export const knownKeys = (schema: unknown, path: Path): readonly string[] => {
  const [head, ...rest] = path;
  if (schema instanceof z.ZodOptional) return knownKeys(schema.unwrap(), path);
  if (schema instanceof z.ZodDiscriminatedUnion) {
    return [...new Set(schema.options.flatMap((option) => knownKeys(option, path)))];
  }
  if (schema instanceof z.ZodArray)
    return head === undefined ? [] : knownKeys(schema.element, rest);
  if (schema instanceof z.ZodObject) {
    return head === undefined ? Object.keys(schema.shape) : knownKeys(schema.shape[head], rest);
  }
  return [];
};
