/** The JSON Schema of a plan, from the same rules that read it. */
import type { Handler } from './commands.ts';

export const run: Handler = async () => {
  const { jsonSchema } = await import('../plan.ts');
  const schema = jsonSchema();
  return { data: { schema }, lines: [JSON.stringify(schema, null, 2)] };
};
