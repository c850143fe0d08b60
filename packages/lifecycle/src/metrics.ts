/** Label values by label name. */
export type Labels = Readonly<Record<string, string | number>>

export interface Counter {
  inc(labels?: Labels, by?: number): void
}
export interface Gauge {
  set(value: number, labels?: Labels): void
}
export interface Histogram {
  /** In the unit that the metric's name ends with. */
  observe(value: number, labels?: Labels): void
}

export interface MetricOptions {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[] | undefined
  /** Histograms only: upper bounds, ascending. */
  readonly buckets?: readonly number[] | undefined
}

/** Where libraries register metrics. Asking again for a name gives the same metric. */
export interface MetricsRegistry {
  counter(options: MetricOptions): Counter
  gauge(options: MetricOptions): Gauge
  histogram(options: MetricOptions): Histogram
}

/** Records nothing: the default of every library. */
export const noMetrics: MetricsRegistry = {
  counter: () => ({ inc() {} }),
  gauge: () => ({ set() {} }),
  histogram: () => ({ observe() {} }),
}
