/** What was measured after so many beats. */
export interface Sample {
  readonly beats: number;
  readonly value: number;
}

/** By how much the value grows with each beat: the slope of the line of least squares. */
export function slopeOf(samples: readonly Sample[]): number {
  const meanOf = (pick: (sample: Sample) => number) =>
    samples.reduce((sum, it) => sum + pick(it), 0) / samples.length;
  const meanBeats = meanOf(({ beats }) => beats);
  const meanValue = meanOf(({ value }) => value);
  const spread = meanOf(({ beats }) => (beats - meanBeats) ** 2);
  return meanOf(({ beats, value }) => (beats - meanBeats) * (value - meanValue)) / spread;
}
