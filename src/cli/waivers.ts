/** Every gate that was ever opened by decision: from the control schema, kept for ever. */
import { readWaivers } from '../db/waivers.ts';
import type { Handler } from './commands.ts';
import { aligned } from './status-text.ts';
import { oneLine } from './terminal.ts';
import { waiverLine } from './waivers-text.ts';

export const run: Handler = async (context, input) => {
  const tenant = input.word(0);
  const pair = await context.pair();
  if (tenant !== null) await context.tenant(tenant);
  const waivers = (await readWaivers(pair, tenant)).map(waiverLine);
  const rows = waivers.map(({ tenant: whose, gate, phase, state, at, endedAt, actor, reason }) => [
    oneLine(whose),
    oneLine(gate),
    phase,
    state,
    at,
    endedAt,
    oneLine(actor),
    oneLine(reason),
  ]);
  return {
    data: { waivers },
    lines:
      rows.length === 0
        ? ['Nothing was ever waived.']
        : aligned(['TENANT', 'GATE', 'PHASE', 'STATE', 'GIVEN', 'ENDS', 'BY', 'REASON'], rows),
  };
};
