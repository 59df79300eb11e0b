/** What the stack registers on its own cluster. */
export { RETENTION_HOURS, SEARCH_ATTRIBUTES } from '../domain/search-attributes.ts';
