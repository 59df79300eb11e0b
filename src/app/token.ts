/**
 * What a write hands out so that another process can read it: opaque text, safe in a header or a cookie.
 *
 * It says whose write it was, and whether that was on the target already when the write returned. A text that
 * is no token, or another tenant's, asks for the careful way: nobody fails for it.
 */
declare const kind: unique symbol;
export type Token = string & { readonly [kind]: 'token' };

const VERSION = 'sb1';

export const tokenFor = (tenant: string, isMirrored: boolean): Token =>
  [VERSION, isMirrored ? 'm' : 'p', Buffer.from(tenant, 'utf8').toString('base64url')].join('.') as Token;

/** Is everything that the token stands for on the target for certain? */
export function isCovered(token: string, tenant: string): boolean {
  const [version, state, id] = token.split('.');
  return (
    version === VERSION && state === 'm' && Buffer.from(id ?? '', 'base64url').toString('utf8') === tenant
  );
}
