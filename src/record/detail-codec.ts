import type { EventDetail } from '../event/system-event.js';
import type {
  GhcbDetail,
  TdxDetail,
  SystemEvent as WireSystemEvent,
} from '../gen/vmwarden/v1/system_event.js';

type WireDetail = WireSystemEvent['detail'];
type DetailOf<Kind extends EventDetail['kind']> = Extract<EventDetail, { kind: Kind }>;

export const detailToProto = (detail: EventDetail): WireDetail => {
  switch (detail.kind) {
    case 'none':
      return undefined;
    case 'psci': {
      const { call, hibernate, unknownBits } = detail;
      return { $case: 'psci', value: { call, hibernate, unknownBits } };
    }
    case 'sbiReset':
      return { $case: 'sbiReset', value: { reason: detail.reason, value: detail.value } };
    case 'hyperv':
      return { $case: 'hyperv', value: { origin: detail.origin } };
    case 'ghcbTermination':
    case 'ghcbNaeTermination':
    case 'ghcbIllegalRequest':
      return { $case: 'ghcb', value: ghcbToProto(detail) };
    case 'tdx':
      return {
        $case: 'tdx',
        value: {
          layout: detail.layout,
          errorCode: detail.errorCode,
          extendedCode: detail.extendedCode,
          panic: detail.panic,
          gpaValid: detail.gpa !== null,
          gpa: detail.gpa ?? undefined,
          regMask: detail.regMask ?? undefined,
          message: detail.message ?? undefined,
        },
      };
    case 'unknown':
      return {
        $case: 'unknown',
        value: { rawType: detail.rawType, dialect: detail.dialect ?? '' },
      };
    case 'vmm': {
      const { reason, action, text } = detail;
      return { $case: 'vmm', value: { reason, action, arguments: [...detail.arguments], text } };
    }
  }
};

/** The words of GhcbDetail.request. */
const GHCB_REQUEST = {
  ghcbTermination: 'MSR_PROTOCOL_TERM',
  ghcbNaeTermination: 'NAE_TERM_REQUEST',
  ghcbIllegalRequest: 'ILLEGAL_MSR_REQUEST',
} as const;

const ghcbToProto = (
  detail: DetailOf<'ghcbTermination' | 'ghcbNaeTermination' | 'ghcbIllegalRequest'>,
): GhcbDetail => {
  const empty: GhcbDetail = {
    request: GHCB_REQUEST[detail.kind],
    reasonSet: undefined,
    reasonCode: undefined,
    name: '',
    unknownBits: 0n,
    ghcbGpa: undefined,
    info: undefined,
  };
  switch (detail.kind) {
    case 'ghcbTermination': {
      const { reasonSet, reasonCode, unknownBits } = detail;
      return { ...empty, reasonSet, reasonCode, name: detail.name ?? '', unknownBits };
    }
    case 'ghcbNaeTermination':
      return { ...empty, ghcbGpa: detail.ghcbGpa };
    case 'ghcbIllegalRequest':
      return { ...empty, info: detail.info };
  }
};

const PSCI_CALLS = [
  'SYSTEM_OFF',
  'SYSTEM_OFF2',
  'SYSTEM_RESET',
  'SYSTEM_RESET2',
  'SYSTEM_SUSPEND',
] as const;
const SBI_REASONS = [
  'NO_REASON',
  'SYSTEM_FAILURE',
  'RESERVED',
  'SBI_IMPLEMENTATION_SPECIFIC',
  'VENDOR_OR_PLATFORM_SPECIFIC',
  'INVALID',
] as const;
const HYPERV_ORIGINS = ['HYPERV_CRASH_MSR', 'HYPERV_RESET_MSR'] as const;
const TDX_LAYOUTS = ['GPR16', 'TDX3', 'GHCI10', 'GHCI_PACKED'] as const;
const DIALECTS = ['', 'KVM_NEXT_2022'] as const;

/** Told of a word that this version does not know: path below the event, value, what was expected. */
type Refuse = (field: string, value: string, expected: string) => void;

/** The detail of a message; null after `refuse` was told why. */
export const detailFromProto = (detail: WireDetail, refuse: Refuse): EventDetail | null => {
  const oneOf = <Word extends string>(
    field: string,
    value: string,
    words: readonly Word[],
  ): Word | null => {
    const word = words.find((candidate) => candidate === value) ?? null;
    if (word === null) refuse(field, value.slice(0, 64), `one of ${words.join(', ')}`);
    return word;
  };
  if (detail === undefined) return { kind: 'none' };
  switch (detail.$case) {
    case 'psci': {
      const call = oneOf('psci.call', detail.value.call, PSCI_CALLS);
      const { hibernate, unknownBits } = detail.value;
      return call === null ? null : { kind: 'psci', call, hibernate, unknownBits };
    }
    case 'sbiReset': {
      const reason = oneOf('sbiReset.reason', detail.value.reason, SBI_REASONS);
      return reason === null ? null : { kind: 'sbiReset', reason, value: detail.value.value };
    }
    case 'hyperv': {
      const origin = oneOf('hyperv.origin', detail.value.origin, HYPERV_ORIGINS);
      return origin === null ? null : { kind: 'hyperv', origin };
    }
    case 'ghcb':
      return ghcbFromProto(
        detail.value,
        oneOf('ghcb.request', detail.value.request, Object.values(GHCB_REQUEST)),
      );
    case 'tdx':
      return tdxFromProto(detail.value, oneOf('tdx.layout', detail.value.layout, TDX_LAYOUTS));
    case 'unknown': {
      const dialect = oneOf('unknown.dialect', detail.value.dialect, DIALECTS);
      if (dialect === null) return null;
      return { kind: 'unknown', rawType: detail.value.rawType, dialect: dialect || null };
    }
    case 'vmm': {
      const { reason, action, text } = detail.value;
      return { kind: 'vmm', reason, action, arguments: detail.value.arguments, text };
    }
  }
};

const ghcbFromProto = (
  value: GhcbDetail,
  request: (typeof GHCB_REQUEST)[keyof typeof GHCB_REQUEST] | null,
): EventDetail | null => {
  switch (request) {
    case null:
      return null;
    case 'MSR_PROTOCOL_TERM':
      return {
        kind: 'ghcbTermination',
        reasonSet: value.reasonSet ?? 0,
        reasonCode: value.reasonCode ?? 0,
        name: value.name === '' ? null : value.name,
        unknownBits: value.unknownBits,
      };
    case 'NAE_TERM_REQUEST':
      return { kind: 'ghcbNaeTermination', ghcbGpa: value.ghcbGpa ?? 0n };
    case 'ILLEGAL_MSR_REQUEST':
      return { kind: 'ghcbIllegalRequest', info: value.info ?? 0 };
  }
};

const tdxFromProto = (
  value: TdxDetail,
  layout: (typeof TDX_LAYOUTS)[number] | null,
): EventDetail | null =>
  layout === null
    ? null
    : {
        kind: 'tdx',
        layout,
        errorCode: value.errorCode,
        extendedCode: value.extendedCode,
        panic: value.panic,
        gpa: value.gpaValid ? (value.gpa ?? 0n) : null,
        regMask: value.regMask ?? null,
        // TDX3 carries no text at all; in the other layouts an absent one is a guest that said nothing.
        message: value.message ?? (layout === 'TDX3' ? undefined : null),
      };
