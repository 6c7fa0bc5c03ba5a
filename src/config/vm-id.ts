/** A VM's id, wherever one comes in: config, reports, operators' acts. */
export const VM_ID = /^[a-zA-Z0-9._-]{1,253}$/;

export const VM_ID_EXPECTED = '1 to 253 characters of a-z A-Z 0-9 . _ -';
