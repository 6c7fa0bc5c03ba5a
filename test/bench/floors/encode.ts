import { SystemEvent } from '../../../src/gen/vmwarden/v1/system_event.js';

/** The least that putting an event on the wire can cost: the bare encode of a message that is there already. */
export const encodeAll = (messages: readonly SystemEvent[]): number => {
  let bytes = 0;
  for (const message of messages) bytes += SystemEvent.encode(message).finish().length;
  return bytes;
};
