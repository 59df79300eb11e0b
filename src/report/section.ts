/** What a section of the page is: a heading, and how it is drawn. */
import type { Draw } from './chart.ts';
import type { ReportFacts, TenantFacts } from './facts.ts';
import type { Html } from './html.ts';

export interface Section<Facts> {
  readonly title: string;
  /** null: it has nothing to say here, and is left out. */
  readonly draw: (facts: Facts, draw: Draw, report: ReportFacts) => Html | null;
}

export type TenantSection = Section<TenantFacts>;
export type FleetSection = Section<ReportFacts>;
