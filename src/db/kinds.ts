/** What a column is, for keys and for copies: one row per MySQL type name. */
import type { Column } from './catalog.ts';

export type Kind =
  | 'integer'
  | 'decimal'
  | 'float'
  | 'double'
  | 'bit'
  | 'timestamp'
  | 'temporal'
  | 'text'
  | 'binary'
  | 'label'
  | 'json'
  | 'geometry';

// prettier-ignore
const KINDS: Readonly<Record<string, Kind>> = {
  tinyint: 'integer', smallint: 'integer', mediumint: 'integer', int: 'integer', bigint: 'integer', year: 'integer',
  decimal: 'decimal', float: 'float', double: 'double', bit: 'bit',
  timestamp: 'timestamp', datetime: 'temporal', date: 'temporal', time: 'temporal',
  char: 'text', varchar: 'text', tinytext: 'text', text: 'text', mediumtext: 'text', longtext: 'text',
  inet4: 'text', inet6: 'text', uuid: 'text',
  binary: 'binary', varbinary: 'binary', tinyblob: 'binary', blob: 'binary', mediumblob: 'binary', longblob: 'binary',
  vector: 'binary', enum: 'label', set: 'label', json: 'json',
  geometry: 'geometry', point: 'geometry', linestring: 'geometry', polygon: 'geometry', multipoint: 'geometry',
  multilinestring: 'geometry', multipolygon: 'geometry', geomcollection: 'geometry', geometrycollection: 'geometry',
};

/** @returns null for a type that this version cannot move; preflight names it. */
export const kindOf = (column: Column): Kind | null => KINDS[column.type] ?? null;
