/**
 * Where the parts of the program say how they are. The program serves when every part that it needs is up;
 * a degraded part is told with its reason and does not stop it.
 */
export interface HealthBoard extends HealthView {
  up(part: string): void;
  /** Works, but not as it should: a broken policy file, a disk that fills up, a VMM out of reach. */
  degraded(part: string, reason: string): void;
  /** Does not work. A part that is needed and down takes the program out of service. */
  down(part: string, reason: string): void;
}

/** What the health service shows. */
export interface HealthView {
  current(): Health;
  /** Called after each change. Returns the way to stop it. */
  onChange(listener: (health: Health) => void): () => void;
}

export interface Health {
  readonly serving: boolean;
  /** `part: reason`, in the order of the parts; empty when all is well. */
  readonly detail: readonly string[];
}

type Part =
  | { readonly kind: 'up' }
  | { readonly kind: 'degraded'; readonly reason: string }
  | { readonly kind: 'down'; readonly reason: string };

const why = (part: Part): string => (part.kind === 'up' ? '' : part.reason);

/** `needed` parts are down until they say that they are up. */
export const createHealthBoard = (needed: readonly string[]): HealthBoard => {
  const parts = new Map<string, Part>(
    needed.map((part) => [part, { kind: 'down', reason: 'is starting' }]),
  );
  const listeners = new Set<(health: Health) => void>();

  const current = (): Health => ({
    serving: needed.every((part) => parts.get(part)?.kind !== 'down'),
    detail: [...parts].flatMap(([name, part]) =>
      part.kind === 'up' ? [] : [`${name}: ${part.reason}`],
    ),
  });

  const set = (name: string, part: Part): void => {
    const before = parts.get(name) ?? { kind: 'up' };
    // Parts come and go: what is well and not needed leaves nothing behind.
    if (part.kind === 'up' && !needed.includes(name)) parts.delete(name);
    else parts.set(name, part);
    // Told once a change: a host has a part for each VM, and they come up together.
    if (listeners.size === 0 || (before.kind === part.kind && why(before) === why(part))) return;
    const after = current();
    for (const listener of [...listeners]) listener(after);
  };

  return {
    current,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    up: (part) => set(part, { kind: 'up' }),
    degraded: (part, reason) => set(part, { kind: 'degraded', reason }),
    down: (part, reason) => set(part, { kind: 'down', reason }),
  };
};
