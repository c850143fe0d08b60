import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { MetricOptions, MetricsRegistry } from '@k3s/lifecycle'

/** All metrics of the process, in Prometheus' text form by `text()`. */
export interface Metrics extends MetricsRegistry {
  text(): Promise<string>
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 })
  const once = <T>(make: (options: MetricOptions) => T): ((options: MetricOptions) => T) => {
    const made = new Map<string, T>()
    return (options) => {
      const existing = made.get(options.name)
      if (existing !== undefined) return existing
      const metric = make(options)
      made.set(options.name, metric)
      return metric
    }
  }
  const common = ({
    name,
    help,
    labels = [],
  }: MetricOptions): { name: string; help: string; labelNames: string[]; registers: Registry[] } => ({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
  })
  return {
    text: () => registry.metrics(),
    counter: once((options) => {
      const counter = new Counter(common(options))
      return { inc: (labels = {}, by = 1) => counter.inc({ ...labels }, by) }
    }),
    gauge: once((options) => {
      const gauge = new Gauge(common(options))
      return { set: (value, labels = {}) => gauge.set({ ...labels }, value) }
    }),
    histogram: once((options) => {
      const histogram = new Histogram({ ...common(options), ...(options.buckets === undefined ? {} : { buckets: [...options.buckets] }) })
      return { observe: (value, labels = {}) => histogram.observe({ ...labels }, value) }
    }),
  }
}
