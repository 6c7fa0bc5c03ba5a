export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** Only a number of 16 digits or more can be past 2^53. */
const LONG = /\d{16}/;
/** Strings are matched first and left alone, so that digits inside them are not taken for numbers. */
const STRING_OR_LONG = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+])-?\d{16,}(?![\d.eE])/g;
/** A key that QMP has none of; only this file makes objects with it. */
const WRAPPED = '\u0000int';

/**
 * JSON in which integers past 2^53 (QMP prints uint64 bare) come as bigint and all others as number.
 * Throws what JSON.parse throws.
 */
export const parseJson = (text: string): Json => {
  if (!LONG.test(text)) return JSON.parse(text) as Json;
  const wrapped = text.replace(STRING_OR_LONG, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token))
      ? token
      : `{"\\u0000int":"${token}"}`,
  );
  return JSON.parse(wrapped, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || !(WRAPPED in value)) return value;
    return BigInt(String(value[WRAPPED]));
  }) as Json;
};

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The string at `key`, or empty. */
export const text = (object: JsonObject, key: string): string => {
  const value = object[key];
  return typeof value === 'string' ? value : '';
};

/** The number at `key`, however large it was, or null. */
export const count = (object: JsonObject, key: string): number | null => {
  const value = object[key];
  if (typeof value === 'number') return value;
  return typeof value === 'bigint' ? Number(value) : null;
};

/** The unsigned 64-bit word at `key`, or null. */
export const word = (object: JsonObject, key: string): bigint | null => {
  const value = object[key];
  if (typeof value === 'bigint') return BigInt.asUintN(64, value);
  if (typeof value === 'number' && Number.isSafeInteger(value)) {
    return BigInt.asUintN(64, BigInt(value));
  }
  return null;
};
