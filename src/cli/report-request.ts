import type { RawEvent } from '../event/raw-event.js';
import { ReportEventRequest } from '../gen/vmwarden/v1/event_service.js';
import { Initiator } from '../gen/vmwarden/v1/system_event.js';
import { rawEventToProto } from '../record/raw-event-codec.js';

export interface ReportOptions {
  readonly vm: string;
  readonly uid?: string;
  readonly bootId?: string;
  readonly initiator?: Initiator;
  /** With `--file` each line's number is put behind it. */
  readonly requestId?: string;
  readonly arch?: string;
  readonly endian?: 'little' | 'big';
  readonly cap?: number;
  readonly hex?: string;
  /** JSON lines; `-`: stdin. */
  readonly file?: string;
  readonly json?: boolean;
}

/** Empty `requestId`: not known again. */
export const requestOf = (
  { vm, uid = '', bootId = '', initiator = Initiator.UNSPECIFIED }: ReportOptions,
  raw: RawEvent,
  requestId: string,
): ReportEventRequest => ({
  ...ReportEventRequest.create(),
  vmId: vm,
  vmUid: uid,
  bootId,
  initiator,
  requestId,
  raw: rawEventToProto(raw),
});
