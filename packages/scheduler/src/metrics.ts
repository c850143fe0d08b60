import type { Counter, Gauge, Histogram, MetricsRegistry } from '@k3s/lifecycle'

export interface SchedulerMetrics {
  readonly pending: Gauge
  readonly attempts: Counter
  readonly attemptDuration: Histogram
  readonly sliDuration: Histogram
  readonly preemptionAttempts: Counter
  readonly preemptionVictims: Histogram
}

const exponential = (first: number, factor: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => first * factor ** index)

/** Upstream's names and buckets. */
export function schedulerMetrics(metrics: MetricsRegistry): SchedulerMetrics {
  return {
    pending: metrics.gauge({ name: 'scheduler_pending_pods', help: 'Pods that wait for a node, by queue', labels: ['queue'] }),
    attempts: metrics.counter({
      name: 'scheduler_schedule_attempts_total',
      help: 'Attempts to schedule pods, by result',
      labels: ['result', 'profile'],
    }),
    attemptDuration: metrics.histogram({
      name: 'scheduler_scheduling_attempt_duration_seconds',
      help: 'Duration of a scheduling attempt, with binding',
      labels: ['result', 'profile'],
      buckets: exponential(0.001, 2, 15),
    }),
    sliDuration: metrics.histogram({
      name: 'scheduler_pod_scheduling_sli_duration_seconds',
      help: 'Time from when a pod was first queued until it was bound',
      labels: ['attempts'],
      buckets: exponential(0.01, 2, 20),
    }),
    preemptionAttempts: metrics.counter({ name: 'scheduler_preemption_attempts_total', help: 'Attempts to make room for a pod' }),
    preemptionVictims: metrics.histogram({
      name: 'scheduler_preemption_victims',
      help: 'Pods that were chosen to make room for one',
      buckets: exponential(1, 2, 7),
    }),
  }
}
