import type { Engine } from '../engine/engine.js';
import { EventServiceService } from '../gen/vmwarden/v1/event_service.js';
import type { Journal } from '../journal/journal.js';
import { receiptToProto } from './convert.js';
import { reportFromRequest } from './report-request.js';
import type { Router } from './router.js';
import { type WatchOptions, watchRecords } from './watch-records.js';

export const registerEventService = (
  router: Router,
  engine: Engine,
  journal: Journal,
  watch: WatchOptions,
): void => {
  router.unary(EventServiceService.reportEvent, async (request) =>
    receiptToProto(journal.id, await engine.report(reportFromRequest(request))),
  );
  // Stored records go out as they are: what is written is an encoded WatchRecordsResponse already.
  router.serverStream(
    { ...EventServiceService.watchRecords, responseSerialize: asBuffer },
    (request, stream) => watchRecords(journal, request, stream, watch),
  );
};

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
