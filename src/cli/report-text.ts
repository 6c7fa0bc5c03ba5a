import type { ReportEventResponse } from '../gen/vmwarden/v1/event_service.js';
import { Disposition, Record } from '../gen/vmwarden/v1/record.js';
import type { Fault } from '../lib/fault.js';
import { eventJson } from '../record/event-json.js';
import { systemEventFromProto } from '../record/system-event-codec.js';
import { describeFault } from './describe-fault.js';
import { type Io, printJson, printLine } from './io.js';
import { plainText } from './plain-text.js';
import { recordText } from './record-text.js';
import type { ReportOptions } from './report-request.js';

/** `line` null: there is but one. */
export const tellResponse = (
  io: Io,
  { vm, json = false }: ReportOptions,
  line: number | null,
  response: ReportEventResponse,
): Promise<void> =>
  json
    ? printJson(io.stdout, responseJson(line, response))
    : printLine(io.stdout, plainText(responseText(vm, response)));

export const tellFault = (
  io: Io,
  options: ReportOptions,
  line: number | null,
  fault: Fault,
): Promise<void> => tellProblem(io, options, line, fault.reason, describeFault(fault));

export const tellProblem = async (
  io: Io,
  { json = false }: ReportOptions,
  line: number | null,
  reason: string,
  message: string,
): Promise<void> => {
  if (json) return printJson(io.stdout, { ...(line !== null && { line }), error: reason, message });
  const place = line === null ? '' : `line ${line}: `;
  return printLine(io.stderr, `vmwarden report: ${place}${message}`);
};

const responseText = (
  vm: string,
  { sequence, event, disposition, repeat }: ReportEventResponse,
) => {
  const record = Record.fromPartial({ body: { $case: 'event', value: { event: event ?? {} } } });
  const [what = ''] = recordText(record).split(', from ');
  const was = repeat ? 'known already' : dispositionOf(disposition);
  return `${vm}: ${what}; record ${sequence}, ${was}`;
};

const responseJson = (line: number | null, response: ReportEventResponse) => {
  const parsed = response.event === undefined ? null : systemEventFromProto(response.event);
  return {
    ...(line !== null && { line }),
    journalId: response.journalId,
    sequence: Number(response.sequence),
    disposition: dispositionOf(response.disposition),
    repeat: response.repeat,
    event: parsed?.ok === true ? eventJson(parsed.value) : null,
  };
};

const dispositionOf = (disposition: Disposition): string =>
  (Disposition[disposition] ?? 'unknown').toLowerCase().replace('_', ' ');
