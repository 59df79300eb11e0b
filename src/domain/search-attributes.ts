/** What operators filter workflows by; registered by the stack, by docker-compose.yml and by hand on a real cluster. */
export const SEARCH_ATTRIBUTES = {
  SwitchbackTenant: 'Keyword',
  SwitchbackPhase: 'Keyword',
  SwitchbackMode: 'Keyword',
  SwitchbackWave: 'Keyword',
  SwitchbackStoppedReason: 'Keyword',
  SwitchbackSince: 'Datetime',
  SwitchbackCleanSince: 'Datetime',
} as const satisfies Record<string, 'Keyword' | 'Datetime'>;

/** 90 days: a six-week run must still be readable well after its end. */
export const RETENTION_HOURS = 2160;
