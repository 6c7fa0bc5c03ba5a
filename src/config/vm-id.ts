/** A VM's id, wherever one comes in: config, reports, operators' acts. */
export const VM_ID = /^[a-zA-Z0-9._-]{1,253}$/;

export const VM_ID_EXPECTED = '1 to 253 characters of a-z A-Z 0-9 . _ -';

/** Tells a VM from an earlier one of the same name. */
export const VM_UID = /^[ -~]{0,128}$/;

export const VM_UID_EXPECTED = 'at most 128 printable ASCII characters';

/** What a label of a VM says. */
export const LABEL_VALUE = /^[ -~]{0,256}$/;

export const LABEL_VALUE_EXPECTED = 'at most 256 printable ASCII characters';
