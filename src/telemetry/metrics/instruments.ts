import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  CATALOG,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type MetricName,
  type MetricSpec,
} from './catalog.js';

export type Labels = Readonly<Record<string, string>>;

/** A value that is read when a scrape comes; of a counter the total. */
export interface Sample {
  readonly name: GaugeName | CounterName;
  readonly labels: Labels;
  readonly value: number;
}

/** What the parts of the program count in. */
export interface Counting {
  count(name: CounterName, labels?: Labels, by?: number): void;
  observe(name: HistogramName, labels: Labels, seconds: number): void;
  /** Forgets a series. */
  forget(name: CounterName, labels: Labels): void;
}

/** The catalog in prom-client's registry; the only file that knows it. */
export class Instruments implements Counting {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();

  constructor() {
    for (const [key, spec] of Object.entries(CATALOG)) this.#make(key as MetricName, spec);
  }

  count(name: CounterName, labels: Labels = {}, by = 1): void {
    this.#counters.get(name)?.inc(clean(labels), by);
  }

  observe(name: HistogramName, labels: Labels, seconds: number): void {
    this.#histograms.get(name)?.observe(clean(labels), seconds);
  }

  forget(name: CounterName, labels: Labels): void {
    this.#counters.get(name)?.remove(clean(labels));
  }

  /** The text of a scrape: what was counted, and exactly these samples; a gauge without one is absent. */
  async text(samples: readonly Sample[]): Promise<string> {
    for (const gauge of this.#gauges.values()) {
      gauge.reset();
      gauge.remove({});
    }
    for (const { name, labels, value } of samples) {
      this.#gauges.get(name)?.set(clean(labels), value);
      const counter = this.#counters.get(name);
      counter?.remove(clean(labels));
      counter?.inc(clean(labels), value);
    }
    return await this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #make(name: MetricName, { type, help, labels, buckets }: MetricSpec): void {
    const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
    switch (type) {
      case 'counter':
        this.#counters.set(name, new Counter(options));
        return;
      case 'gauge':
        this.#gauges.set(name, new Gauge(options));
        return;
      case 'histogram':
        this.#histograms.set(
          name,
          new Histogram({ ...options, ...(buckets !== undefined && { buckets: [...buckets] }) }),
        );
    }
  }
}

const MAX_VALUE = 256;

/** prom-client escapes line feeds, quotes and backslashes; other control characters would only confuse who reads. */
const clean = (labels: Labels): Record<string, string> =>
  Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [
      name,
      value.slice(0, MAX_VALUE).replace(/\p{Cc}/gu, ' '),
    ]),
  );
