/** Time, as functions so that tests can say what time it is. */
export type Clock = {
  /** Milliseconds since the Unix epoch: for what is stored or shown. */
  now(): number
  /** Milliseconds from an arbitrary start, never going back: for durations. */
  monotonic(): number
}
