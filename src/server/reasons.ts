import type { FaultCode } from '../lib/fault.js';

export interface Reason {
  readonly code: FaultCode;
  /** The same reason with another status. */
  readonly also?: FaultCode;
  readonly meaning: string;
  /** What its reader can do about it. */
  readonly remedy: string;
}

/** The `reason` of every ErrorInfo that a caller can get (domain vmwarden.dev). Names are stable; docs/errors.md is made of this. */
export const REASONS: Readonly<{ [reason: string]: Reason }> = {
  AGENT_NOT_READING: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'the agent does not read what it is sent, and too much waits for it',
    remedy: 'attach again, and read',
  },
  BATCH_TOO_LARGE: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the agent’s batch has too many events',
    remedy: 'send fewer in one message',
  },
  BUDGET_UNKNOWN: {
    code: 'NOT_FOUND',
    meaning: 'neither the policy nor the VM knows a budget of this name',
    remedy: 'look at the VM’s budgets (GetVm, `vmwarden vms`), or leave the name empty for all',
  },
  BYTE_ORDER_SUSPECT: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the raw event makes sense in the other byte order only',
    remedy: 'state the byte order of the host that ran the guest',
  },
  CALLING_TOO_FAST: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'more calls a second than one connection may make',
    remedy: 'wait as RetryInfo says; report in batches with ReportEvents',
  },
  CALL_CANCELLED: {
    code: 'CANCELLED',
    meaning: 'the caller went away or its deadline passed',
    remedy: 'ask again with the same request id: what was done is answered, not done twice',
  },
  CALL_TIMEOUT: {
    code: 'DEADLINE_EXCEEDED',
    meaning: 'not answered within 30 s; what was asked for may still happen',
    remedy: 'ask again with the same request id',
  },
  EMPTY_MESSAGE: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the agent’s message has none of its fields',
    remedy: 'set one of them',
  },
  HELLO_EXPECTED: {
    code: 'FAILED_PRECONDITION',
    also: 'DEADLINE_EXCEEDED',
    meaning: 'an agent’s first message is hello, and comes soon after the stream began',
    remedy: 'say hello first',
  },
  HELLO_TWICE: {
    code: 'FAILED_PRECONDITION',
    meaning: 'an agent says hello once in a stream',
    remedy: 'attach again to say something else',
  },
  HOST_HELD: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the host is held already',
    remedy: 'nothing, or end the hold first (ReleaseHost, `vmwarden release --host`)',
  },
  HOST_NOT_HELD: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the host is not held',
    remedy: 'nothing',
  },
  INCIDENT_UNKNOWN: {
    code: 'NOT_FOUND',
    meaning: 'the journal tells of no such incident on this VM (any more)',
    remedy: 'leave the incident empty for the latest',
  },
  INTERNAL_ERROR: {
    code: 'INTERNAL',
    meaning: 'a defect of vmwarden',
    remedy: 'look into its log, and report it',
  },
  INVALID_FIELDS: {
    code: 'INVALID_ARGUMENT',
    meaning: 'fields of the request can not be taken; BadRequest names each',
    remedy: 'mend what BadRequest names',
  },
  JOURNAL_BAD_INPUT: {
    code: 'INVALID_ARGUMENT',
    meaning: 'a key, a name or a number is outside of what the journal stores',
    remedy: 'mend what BadRequest names',
  },
  JOURNAL_BUSY: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'the disk does not keep up with what is reported',
    remedy: 'report again after RetryInfo, with the same request id',
  },
  JOURNAL_CLOSED: {
    code: 'UNAVAILABLE',
    meaning: 'vmwarden is stopping',
    remedy: 'ask again when it serves',
  },
  JOURNAL_CORRUPT: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the journal’s file can not be read',
    remedy: '`vmwarden journal verify` tells what is wrong',
  },
  JOURNAL_FULL: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'the journal’s disk has no more room than its reserve',
    remedy: 'free space; report again after RetryInfo, with the same request id',
  },
  JOURNAL_IN_USE: {
    code: 'FAILED_PRECONDITION',
    meaning: 'another vmwarden has this journal open',
    remedy: 'stop it, or use another data directory',
  },
  JOURNAL_IO: {
    code: 'UNAVAILABLE',
    meaning: 'the journal’s disk failed',
    remedy: 'look into the log and the disk; ask again with the same request id',
  },
  JOURNAL_NEWER_FORMAT: {
    code: 'FAILED_PRECONDITION',
    meaning: 'a newer vmwarden wrote this journal',
    remedy: 'run that one',
  },
  JOURNAL_NOT_FOUND: {
    code: 'NOT_FOUND',
    meaning: 'there is no journal in this directory',
    remedy: 'give the right data directory',
  },
  JOURNAL_ROLLED_BACK: {
    code: 'ABORTED',
    meaning: 'a write before this one failed, and this one with it',
    remedy: 'ask again with the same request id',
  },
  JOURNAL_TRIMMED: {
    code: 'OUT_OF_RANGE',
    meaning: 'retention dropped records that were asked for',
    remedy: 'go on from the metadata’s `oldest`; the records before it are gone',
  },
  MALFORMED_MESSAGE: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the bytes are no message of the method’s type',
    remedy: 'generate the client from the proto files',
  },
  MESSAGE_TOO_LARGE: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'the request, or the batch, has more bytes than are taken',
    remedy: 'send less in one message: the metadata’s `limitBytes`',
  },
  MISSING_CONTEXT: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the raw event can not be understood without what was left out',
    remedy: 'state what BadRequest names',
  },
  NOTHING_TO_CANCEL: {
    code: 'FAILED_PRECONDITION',
    meaning: 'nothing is open on this VM',
    remedy: 'nothing',
  },
  OTHER_INCIDENT: {
    code: 'FAILED_PRECONDITION',
    meaning: 'another incident is open than the one named',
    remedy: 'look at it first (ExplainVm, `vmwarden explain`), then name it',
  },
  OTHER_JOURNAL: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the host has another journal now, whose sequences start afresh',
    remedy: 'read from the beginning of the journal that the metadata names',
  },
  POLICY_BROKEN: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the policy that was sent can not be used',
    remedy: 'mend what BadRequest names, line by line',
  },
  READER_STALLED: {
    code: 'DEADLINE_EXCEEDED',
    meaning: 'the caller did not read the answers of its stream',
    remedy: 'read faster, or ask for less',
  },
  RECORD_UNKNOWN: {
    code: 'NOT_FOUND',
    meaning: 'no record of this sequence was written yet',
    remedy: 'wait for it (WatchRecords, `vmwarden events --follow`)',
  },
  REQUEST_CONFLICT: {
    code: 'ALREADY_EXISTS',
    meaning: 'the same request id, or source sequence, came before with other content',
    remedy: 'take a new id for a new request',
  },
  ROW_UNREADABLE: {
    code: 'FAILED_PRECONDITION',
    meaning: 'a row of the journal was written by another version or is damaged',
    remedy: '`vmwarden journal verify` tells which',
  },
  SEQUENCE_AHEAD: {
    code: 'OUT_OF_RANGE',
    meaning: 'the watch begins behind the newest record',
    remedy: 'begin at the metadata’s `newest`; check the journal id',
  },
  SERVICE_UNKNOWN: {
    code: 'NOT_FOUND',
    meaning: 'health was asked of a service that is not here',
    remedy: 'ask for the empty name, or one that reflection lists',
  },
  SIMULATION_RUNNING: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'as many simulations run as may at once',
    remedy: 'wait as RetryInfo says',
  },
  STOPPING: {
    code: 'UNAVAILABLE',
    meaning: 'vmwarden is stopping',
    remedy: 'connect again; resume a watch from its `scanned_sequence`',
  },
  TOO_MANY_CALLS: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'so many calls, or streams, of this method are open already',
    remedy: 'close some, or wait as RetryInfo says',
  },
  TOO_MANY_EVENTS: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'one VM reports more different events than can wait',
    remedy: 'report again after RetryInfo, with the same request id',
  },
  TOO_MANY_VMS: {
    code: 'RESOURCE_EXHAUSTED',
    meaning: 'reporters brought in as many VMs as are kept',
    remedy: 'check the ids that are reported',
  },
  TRUNCATED: {
    code: 'INVALID_ARGUMENT',
    meaning: 'the raw event ends before what it says it holds',
    remedy: 'hand in the whole struct',
  },
  UID_MISMATCH: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the configuration has another uid for this VM',
    remedy: 'report for the VM that runs, or correct the configuration',
  },
  VERB_UNSUPPORTED: {
    code: 'FAILED_PRECONDITION',
    meaning: 'this VM’s driver can not do that; the message says why',
    remedy: 'choose another act',
  },
  VM_BUSY: {
    code: 'FAILED_PRECONDITION',
    meaning: 'a step is open on this VM: one act at a time',
    remedy:
      'wait, or call it off (CancelAct with the metadata’s `incidentId`, `vmwarden act VM cancel`)',
  },
  VM_HELD: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the VM is held already; the message says why',
    remedy: 'nothing, or end the hold first (ReleaseVm, `vmwarden release VM`)',
  },
  VM_NOT_HELD: {
    code: 'FAILED_PRECONDITION',
    meaning: 'the VM is not held',
    remedy: 'nothing; a hold of the host is ended by ReleaseHost, `vmwarden release --host`',
  },
  VM_OUT_OF_REACH: {
    code: 'UNAVAILABLE',
    meaning: 'the VMM does not answer, so nothing was begun',
    remedy: 'look whether it runs; ask again after RetryInfo',
  },
  VM_UNKNOWN: {
    code: 'NOT_FOUND',
    meaning: 'neither the configuration nor a report named this VM',
    remedy: 'look at those that there are (ListVms, `vmwarden vms`)',
  },
  WRONG_CAPABILITY_NUMBER: {
    code: 'INVALID_ARGUMENT',
    meaning: 'another capability than 215 was asked of the kernel',
    remedy: 'ask KVM_CHECK_EXTENSION for 215 (KVM_CAP_SYSTEM_EVENT_DATA)',
  },
};
