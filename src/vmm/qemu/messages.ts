import type { Json, JsonObject } from './json.js';

/** A QMP command; its arguments are JSON text already, so that the hot path encodes nothing. */
export interface Command {
  readonly name: string;
  readonly arguments?: string;
}

export interface QmpEvent {
  readonly name: string;
  readonly data: JsonObject;
  /** Milliseconds since the epoch by QEMU's clock; null where it did not say. */
  readonly atMs: number | null;
}

/** What QEMU answered to a command that it did not carry out. `desc` is for people: never parsed. */
export interface QmpError {
  readonly class: string;
  readonly desc: string;
}

export type Reply =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly error: QmpError };
