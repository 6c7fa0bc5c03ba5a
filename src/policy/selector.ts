/** A VM as selectors and conditions know it. */
export interface VmIdentity {
  readonly id: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Which VMs a rule, or a maintenance, is for: all parts must hold, as in Kubernetes. */
export interface Selector {
  /** One of them must match the id; `*` stands for any run of characters, `?` for one. null: any id. */
  readonly ids: readonly string[] | null;
  readonly requirements: readonly Requirement[];
}

/** `NotIn` and `DoesNotExist` also hold for a VM without the label. */
export type Requirement =
  | { readonly key: string; readonly operator: 'In' | 'NotIn'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'Exists' | 'DoesNotExist' };

/** null selects every VM. */
export const selects = (selector: Selector | null, vm: VmIdentity): boolean =>
  selector === null ||
  ((selector.ids === null || selector.ids.some((glob) => matchesGlob(glob, vm.id))) &&
    selector.requirements.every((requirement) => meets(requirement, vm.labels)));

/** Labels are the operator's: `constructor` is one like any other. */
export const labelOf = (labels: VmIdentity['labels'], key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

const meets = (requirement: Requirement, labels: VmIdentity['labels']): boolean => {
  const value = labelOf(labels, requirement.key);
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
};

/** In time glob × text at most: only the latest `*` is ever tried again. */
export const matchesGlob = (glob: string, text: string): boolean => {
  let at = 0;
  let next = 0;
  let star = -1;
  let starAt = 0;
  while (at < text.length) {
    const wanted = glob[next];
    if (wanted === '*') {
      star = next;
      starAt = at;
      next += 1;
    } else if (wanted !== undefined && (wanted === '?' || wanted === text[at])) {
      next += 1;
      at += 1;
    } else if (star >= 0) {
      starAt += 1;
      at = starAt;
      next = star + 1;
    } else return false;
  }
  while (glob[next] === '*') next += 1;
  return next === glob.length;
};
