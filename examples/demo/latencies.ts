/** Latencies by the stage that the portal obeyed, and by kind of request. */
export interface LatencyRow {
  readonly stage: string;
  readonly kind: 'read' | 'write';
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export class Latencies {
  readonly #samples = new Map<string, number[]>();

  add(stage: string, kind: 'read' | 'write', ms: number): void {
    const key = `${stage}/${kind}`;
    const samples = this.#samples.get(key) ?? [];
    samples.push(ms);
    this.#samples.set(key, samples);
  }

  rows(): LatencyRow[] {
    return [...this.#samples].map(([key, samples]) => {
      const [stage = '', kind = ''] = key.split('/');
      const sorted = samples.toSorted((a, b) => a - b);
      const at = (share: number): number =>
        Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]! * 10) / 10;
      return {
        stage,
        kind: kind as LatencyRow['kind'],
        count: sorted.length,
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max: at(1),
      };
    });
  }
}
