import { hasStrayBrace, namesIn, parsePathTemplate, partNames } from '../lib/path-template.js';
import { MAX_SOCKET_PATH } from '../lib/socket-path.js';
import type { DiscoverConfig } from './config.js';
import { type Finding, finding, type Path } from './problem.js';
import { releaseOf } from './release-meaning.js';
import type { WrittenConfig } from './schema.js';

const HOUR = 3_600_000;

/** Defaults filled in, and the path made absolute. */
export const discoverOf = (
  written: NonNullable<WrittenConfig['discover']>[number],
  index: number,
  resolve: (path: Path, text: string) => string,
): DiscoverConfig => {
  const { base, segments } = written.driver.socket;
  return {
    driver: {
      kind: 'qemu',
      socket: { base: resolve(['discover', index, 'driver', 'socket'], base), segments },
    },
    id: written.id ?? '{id}',
    uid: written.uid ?? '',
    labels: written.labels ?? {},
    takeOver: written.takeOver ?? false,
    release: releaseOf(written.release),
    owners: written.owners ?? [],
    retireAfterMs: written.retireAfter ?? HOUR,
  };
};

/** Names in texts that no part of the path has, and paths that could never be a socket's; as they are written. */
export const discoverFindings = (document: unknown): Finding[] => {
  const all = field(document, 'discover');
  if (!Array.isArray(all)) return [];
  return all.flatMap((one: unknown, index) => {
    const at: Path = ['discover', index];
    const socket = field(field(one, 'driver'), 'socket');
    const parsed = typeof socket === 'string' ? parsePathTemplate(socket) : null;
    // Told by the schema.
    if (parsed === null || !parsed.ok) return [];
    const known = partNames(parsed.template);
    const found: Finding[] = [];
    const id = field(one, 'id');
    if (id === undefined && !known.includes('id')) {
      const hint = 'or say by `id` what the VM is called';
      found.push(finding([...at, 'driver', 'socket'], 'has no part {id}; expected one', hint));
    }
    // A VM's name that is the same for every socket is one for a single VM.
    if (typeof id === 'string' && namesIn(id).length === 0) {
      found.push(finding([...at, 'id'], 'expected a part of the path in it, like {id}'));
    }
    const shortest = parsed.template.segments.join('/').replace(/\{[^{}]*\}/g, 'x').length;
    if (parsed.template.base.length + 1 + shortest > MAX_SOCKET_PATH) {
      const message = `the path of a unix socket has at most ${MAX_SOCKET_PATH} bytes, these all have more`;
      found.push(finding([...at, 'driver', 'socket'], message));
    }
    const labels = field(one, 'labels');
    const texts: [Path, unknown][] = [
      [['id'], id],
      [['uid'], field(one, 'uid')],
      ...(typeof labels === 'object' && labels !== null
        ? Object.entries(labels).map(([name, value]): [Path, unknown] => [['labels', name], value])
        : []),
    ];
    return [
      ...found,
      ...texts.flatMap(([path, text]) =>
        typeof text === 'string' ? textFindings([...at, ...path], text, known) : [],
      ),
    ];
  });
};

const textFindings = (path: Path, text: string, known: readonly string[]): Finding[] => {
  const parts = known.length === 0 ? 'it has none' : `it has ${known.map(braced).join(', ')}`;
  const strange = namesIn(text).filter((name) => !known.includes(name));
  return [
    ...strange.map((name) =>
      finding(path, `${braced(name)} is no part of driver.socket; expected one`, parts),
    ),
    ...(hasStrayBrace(text) ? [finding(path, 'has a brace that begins or ends no {name}')] : []),
  ];
};

const braced = (name: string): string => `{${name}}`;

const field = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
