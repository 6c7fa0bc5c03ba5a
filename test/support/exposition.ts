/**
 * Prometheus' text format 0.0.4 read strictly: every sample belongs to a family that was announced by HELP and TYPE right
 * before it, names and labels are well formed, no series comes twice, histograms add up. Throws with the line otherwise.
 */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ScrapedSample[];
}

export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Exposition {
  readonly families: ReadonlyMap<string, Family>;
  readonly samples: readonly ScrapedSample[];
  /** The value of the one series with this name and (at least) these labels; undefined: none. Throws when several match. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

export const parseExposition = (text: string): Exposition => {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family & { samples: ScrapedSample[] }>();
  const seen = new Set<string>();
  let help: { readonly name: string; readonly help: string } | null = null;
  let family: (Family & { samples: ScrapedSample[] }) | null = null;
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const helped = /^# HELP (\S+) (.+)$/.exec(line);
    if (helped !== null) {
      help = { name: helped[1] ?? '', help: helped[2] ?? '' };
      continue;
    }
    const typed = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (typed !== null) {
      const [, name = '', type = ''] = typed;
      if (help?.name !== name || families.has(name)) throw new Error(`out of place: ${line}`);
      family = { name, type, help: help.help, samples: [] };
      families.set(name, family);
      continue;
    }
    const sample = parseSample(line);
    const suffix = sample.name.slice(family?.name.length ?? 0);
    const belongs =
      family !== null &&
      sample.name.startsWith(family.name) &&
      (family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']).includes(suffix);
    if (family === null || !belongs) throw new Error(`belongs to no family: ${line}`);
    const series = seriesOf(sample);
    if (seen.has(series)) throw new Error(`comes twice: ${line}`);
    seen.add(series);
    family.samples.push(sample);
  }
  for (const one of families.values()) if (one.type === 'histogram') checkHistogram(one);
  const samples = [...families.values()].flatMap((one) => one.samples);
  return {
    families,
    samples,
    value: (name, labels = {}) => {
      const found = samples.filter(
        (one) =>
          one.name === name &&
          Object.entries(labels).every(([label, value]) => one.labels[label] === value),
      );
      if (found.length > 1) throw new Error(`${found.length} series match ${name}`);
      return found[0]?.value;
    },
  };
};

const parseSample = (line: string): ScrapedSample => {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|[+-]Inf|NaN)$/.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name = '', inside = '', number = ''] = match;
  const labels: Record<string, string> = {};
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
  for (let at = 0; at < inside.length; at = label.lastIndex) {
    label.lastIndex = at;
    const part = label.exec(inside);
    if (part === null) throw new Error(`no label at ${at}: ${line}`);
    const [, key = '', value = ''] = part;
    if (key in labels) throw new Error(`label ${key} twice: ${line}`);
    labels[key] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
  }
  const value = number.endsWith('Inf') ? Number(`${number}inity`) : Number(number);
  if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
  return { name, labels, value };
};

const seriesOf = ({ name, labels }: ScrapedSample): string =>
  JSON.stringify([name, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);

const checkHistogram = ({ name, samples }: Family): void => {
  const counts = new Map<string, { last: number; inf: number | null; count: number | null }>();
  for (const { name: of, labels, value } of samples) {
    const { le, ...rest } = labels;
    const key = JSON.stringify(rest);
    const group = counts.get(key) ?? { last: 0, inf: null, count: null };
    counts.set(key, group);
    if (of === `${name}_count`) group.count = value;
    if (of !== `${name}_bucket`) continue;
    if (le === undefined) throw new Error(`a bucket of ${name} without le`);
    if (value < group.last) throw new Error(`buckets of ${name} fall`);
    group.last = value;
    if (le === '+Inf') group.inf = value;
  }
  for (const { inf, count } of counts.values()) {
    if (inf === null || inf !== count) throw new Error(`${name}: +Inf ${inf}, count ${count}`);
  }
};
