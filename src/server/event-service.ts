import type { Engine } from '../engine/engine.js';
import {
  EventServiceService,
  type ReportEventRequest,
  type ReportEventResponse,
} from '../gen/vmwarden/v1/event_service.js';
import type { Journal } from '../journal/journal.js';
import { receiptToProto } from './convert.js';
import { asBuffer } from './encode-records.js';
import { getRecord, listRecords } from './list-records.js';
import type { VmLabels } from './record-filter.js';
import { batchFromBytes, reportEvents } from './report-events.js';
import { reportFromRequest } from './report-request.js';
import type { Router } from './router.js';
import { type WatchOptions, watchRecords } from './watch-records.js';

export const registerEventService = (
  router: Router,
  engine: Engine,
  journal: Journal,
  watch: WatchOptions & { readonly labels: VmLabels },
): void => {
  const report = async (request: ReportEventRequest): Promise<ReportEventResponse> =>
    receiptToProto(journal.id, await engine.report(reportFromRequest(request)));

  router.unary(EventServiceService.reportEvent, report);
  router.bidi(
    { ...EventServiceService.reportEvents, requestDeserialize: batchFromBytes },
    (batches, stream) => reportEvents(batches, stream, report),
  );
  // Stored records go out as they are: what is written is an encoded message already.
  router.serverStream(
    { ...EventServiceService.watchRecords, responseSerialize: asBuffer },
    (request, stream) => watchRecords(journal, request, stream, watch),
  );
  router.unary(
    { ...EventServiceService.listRecords, responseSerialize: asBuffer },
    async (request) => listRecords(journal, request, watch.labels),
  );
  router.unary({ ...EventServiceService.getRecord, responseSerialize: asBuffer }, async (request) =>
    getRecord(journal, request),
  );
};
