/** From any fault to one line with an exit code: what, where, and what to do next. Never a statement, never a secret. */
import {
  ConfigError,
  DatabaseError,
  LostCaptureError,
  LostClaimError,
  SchemaMismatchError,
  StaleEpochError,
  TransientDatabaseError,
} from '../domain/errors.ts';
import { RETENTION_HOURS } from '../domain/search-attributes.ts';
import type { Context } from './context.ts';
import { CliFailure, HERE } from './exit.ts';

/** Unknown schema or table: of the control schema, since tables of the plan are looked up first. */
const NOT_INSTALLED = new Set([1049, 1146]);
const ACCESS_DENIED = new Set([1045, 1698, 1251, 1524]);
/** gRPC status codes: DEADLINE_EXCEEDED, UNAVAILABLE. */
const UNREACHABLE = new Set([4, 14]);
const NOT_FOUND = 5;

export function explain(error: unknown, context: Context): CliFailure {
  if (error instanceof CliFailure) return error;
  if (error instanceof ConfigError) return new CliFailure('usage', '', { problems: error.problems });
  if (error instanceof TransientDatabaseError) return unreachable(error, context);
  if (error instanceof DatabaseError) return ofDatabase(error, context);
  if (error instanceof StaleEpochError || error instanceof LostClaimError)
    return new CliFailure('refused', error.message);
  if (error instanceof LostCaptureError || error instanceof SchemaMismatchError)
    return new CliFailure('refused', error.message);
  return ofTemporal(error, context);
}

/** `source: …` becomes `source at host:port: …`, with the variable that holds the address. */
function located(
  message: string,
  context: Context,
): { readonly text: string; readonly variable: string | null } {
  const [side = '', ...rest] = message.split(': ');
  const place = context.addresses.get(side);
  if (place === undefined) return { text: message, variable: null };
  return { text: `${side} at ${place.address}: ${rest.join(': ')}`, variable: place.variable };
}

function unreachable(error: TransientDatabaseError, context: Context): CliFailure {
  const { text, variable } = located(error.message.replace(/; is the server up\?$/, ''), context);
  const help = variable === null ? 'try again' : `start that server, or correct ${variable} ${HERE}`;
  return new CliFailure('unreachable', `${text}; ${help}`);
}

export const isDenied = (error: unknown): boolean =>
  error instanceof DatabaseError && error.errno !== null && ACCESS_DENIED.has(error.errno);

function ofDatabase(error: DatabaseError, context: Context): CliFailure {
  const { text, variable } = located(error.message, context);
  if (isDenied(error))
    return new CliFailure(
      'unreachable',
      `${text}; correct the user and password in ${variable ?? 'the address'}`,
    );
  if (error.errno !== null && NOT_INSTALLED.has(error.errno))
    return new CliFailure('not-found', `${text}; nothing is installed there yet`, {
      next: [context.change('install')],
    });
  return new CliFailure('unexpected', text);
}

function ofTemporal(error: unknown, context: Context): CliFailure {
  if (!(error instanceof Error)) return new CliFailure('unexpected', String(error));
  const { name, message, code, cause } = error as Error & { code?: unknown };
  const [, before, after] =
    /^.*?(?:Namespace ([\w.-]+) is not found|Namespace not found: '([\w.-]+)')/.exec(message) ?? [];
  const namespace = before ?? after;
  if (namespace !== undefined) return noNamespace(namespace);
  const status = (cause as { code?: unknown } | undefined)?.code ?? code;
  if (typeof status === 'number' && UNREACHABLE.has(status)) return context.temporalUnreachable();
  if (name === 'WorkflowNotFoundError' || status === NOT_FOUND)
    return new CliFailure('not-found', `there is no such run: ${message}`);
  return new CliFailure('unexpected', `${name === 'Error' ? '' : `${name}: `}${message}`);
}

export function noNamespace(namespace: string): CliFailure {
  const create = `temporal operator namespace create --namespace ${namespace} --retention ${RETENTION_HOURS}h`;
  return new CliFailure(
    'not-found',
    `Temporal has no namespace ${namespace}; create it, or correct temporal.namespace`,
    {
      next: [create],
    },
  );
}
