/**
 * A schema like Sakila, the sample that MySQL ships: its sixteen tables with their types, indexes, foreign keys,
 * triggers and views, rebuilt, and filled by a generator with more rows than the original has.
 */
import type { Random } from '../db/protocol/random.ts';

export const STORES = [1, 2, 3];

const UPDATED = 'last_update TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP';
const fk = (column: string, parent: string, key = column, onDelete = 'RESTRICT'): string =>
  `FOREIGN KEY (${column}) REFERENCES ${parent} (${key}) ON DELETE ${onDelete} ON UPDATE CASCADE`;

// prettier-ignore
const TABLES: readonly string[] = [
  `actor (actor_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, first_name VARCHAR(45) NOT NULL, last_name VARCHAR(45) NOT NULL, ${UPDATED}, KEY idx_actor_last_name (last_name))`,
  `country (country_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, country VARCHAR(50) NOT NULL, ${UPDATED})`,
  `city (city_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, city VARCHAR(50) NOT NULL, country_id SMALLINT UNSIGNED NOT NULL, ${UPDATED}, KEY (country_id), ${fk('country_id', 'country')})`,
  `address (address_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, address VARCHAR(50) NOT NULL, address2 VARCHAR(50) DEFAULT NULL, district VARCHAR(20) NOT NULL, city_id SMALLINT UNSIGNED NOT NULL,
     postal_code VARCHAR(10) DEFAULT NULL, phone VARCHAR(20) NOT NULL, location GEOMETRY NOT NULL SRID 0, ${UPDATED}, KEY (city_id), SPATIAL KEY idx_location (location), ${fk('city_id', 'city')})`,
  `category (category_id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(25) NOT NULL, ${UPDATED})`,
  `language (language_id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name CHAR(20) NOT NULL, ${UPDATED})`,
  `film (film_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, title VARCHAR(128) NOT NULL, description TEXT, release_year YEAR DEFAULT NULL, language_id TINYINT UNSIGNED NOT NULL,
     original_language_id TINYINT UNSIGNED DEFAULT NULL, rental_duration TINYINT UNSIGNED NOT NULL DEFAULT 3, rental_rate DECIMAL(4,2) NOT NULL DEFAULT 4.99, length SMALLINT UNSIGNED DEFAULT NULL,
     replacement_cost DECIMAL(5,2) NOT NULL DEFAULT 19.99, rating ENUM('G','PG','PG-13','R','NC-17') DEFAULT 'G',
     special_features SET('Trailers','Commentaries','Deleted Scenes','Behind the Scenes') DEFAULT NULL, ${UPDATED}, KEY idx_title (title), KEY (language_id), KEY (original_language_id),
     ${fk('language_id', 'language')}, ${fk('original_language_id', 'language', 'language_id')})`,
  `film_actor (actor_id SMALLINT UNSIGNED NOT NULL, film_id SMALLINT UNSIGNED NOT NULL, ${UPDATED}, PRIMARY KEY (actor_id, film_id), KEY (film_id), ${fk('actor_id', 'actor')}, ${fk('film_id', 'film')})`,
  `film_category (film_id SMALLINT UNSIGNED NOT NULL, category_id TINYINT UNSIGNED NOT NULL, ${UPDATED}, PRIMARY KEY (film_id, category_id), KEY (category_id), ${fk('film_id', 'film')}, ${fk('category_id', 'category')})`,
  `film_text (film_id SMALLINT UNSIGNED NOT NULL PRIMARY KEY, title VARCHAR(255) NOT NULL, description TEXT, FULLTEXT KEY idx_title_description (title, description))`,
  `store (store_id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, manager_staff_id TINYINT UNSIGNED NOT NULL, address_id SMALLINT UNSIGNED NOT NULL, ${UPDATED},
     UNIQUE KEY idx_unique_manager (manager_staff_id), KEY (address_id), ${fk('address_id', 'address')})`,
  `staff (staff_id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, first_name VARCHAR(45) NOT NULL, last_name VARCHAR(45) NOT NULL, address_id SMALLINT UNSIGNED NOT NULL, picture BLOB DEFAULT NULL,
     email VARCHAR(50) DEFAULT NULL, store_id TINYINT UNSIGNED NOT NULL, active BOOLEAN NOT NULL DEFAULT TRUE, username VARCHAR(16) NOT NULL, password VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
     ${UPDATED}, KEY (store_id), KEY (address_id), ${fk('store_id', 'store')}, ${fk('address_id', 'address')})`,
  `customer (customer_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, store_id TINYINT UNSIGNED NOT NULL, first_name VARCHAR(45) NOT NULL, last_name VARCHAR(45) NOT NULL, email VARCHAR(50) DEFAULT NULL,
     address_id SMALLINT UNSIGNED NOT NULL, active BOOLEAN NOT NULL DEFAULT TRUE, create_date DATETIME NOT NULL, last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
     KEY (store_id), KEY (address_id), KEY idx_last_name (last_name), ${fk('address_id', 'address')}, ${fk('store_id', 'store')})`,
  `inventory (inventory_id MEDIUMINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, film_id SMALLINT UNSIGNED NOT NULL, store_id TINYINT UNSIGNED NOT NULL, ${UPDATED}, KEY (film_id), KEY idx_store_id_film_id (store_id, film_id),
     ${fk('store_id', 'store')}, ${fk('film_id', 'film')})`,
  `rental (rental_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, rental_date DATETIME NOT NULL, inventory_id MEDIUMINT UNSIGNED NOT NULL, customer_id SMALLINT UNSIGNED NOT NULL, return_date DATETIME DEFAULT NULL,
     staff_id TINYINT UNSIGNED NOT NULL, ${UPDATED}, UNIQUE KEY (rental_date, inventory_id, customer_id), KEY (inventory_id), KEY (customer_id), KEY (staff_id),
     ${fk('staff_id', 'staff')}, ${fk('inventory_id', 'inventory')}, ${fk('customer_id', 'customer')})`,
  `payment (payment_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id SMALLINT UNSIGNED NOT NULL, staff_id TINYINT UNSIGNED NOT NULL, rental_id INT DEFAULT NULL, amount DECIMAL(5,2) NOT NULL,
     payment_date DATETIME NOT NULL, last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (staff_id), KEY (customer_id),
     ${fk('rental_id', 'rental', 'rental_id', 'SET NULL')}, ${fk('customer_id', 'customer')}, ${fk('staff_id', 'staff')})`,
];

/** What the application keeps beside its tables: triggers that write, and views. */
// prettier-ignore
const BESIDE: readonly string[] = [
  `ALTER TABLE store ADD ${fk('manager_staff_id', 'staff', 'staff_id')}`,
  'CREATE TRIGGER ins_film AFTER INSERT ON film FOR EACH ROW INSERT INTO film_text (film_id, title, description) VALUES (NEW.film_id, NEW.title, NEW.description)',
  'CREATE TRIGGER upd_film AFTER UPDATE ON film FOR EACH ROW UPDATE film_text SET title = NEW.title, description = NEW.description, film_id = NEW.film_id WHERE film_id = OLD.film_id',
  'CREATE TRIGGER del_film AFTER DELETE ON film FOR EACH ROW DELETE FROM film_text WHERE film_id = OLD.film_id',
  'CREATE TRIGGER customer_create_date BEFORE INSERT ON customer FOR EACH ROW SET NEW.create_date = NOW()',
  'CREATE TRIGGER payment_date BEFORE INSERT ON payment FOR EACH ROW SET NEW.payment_date = NOW()',
  'CREATE VIEW customer_list AS SELECT c.customer_id AS id, CONCAT(c.first_name, " ", c.last_name) AS name, a.address, ci.city, co.country FROM customer c JOIN address a USING (address_id) JOIN city ci USING (city_id) JOIN country co USING (country_id)',
  'CREATE VIEW sales_by_store AS SELECT i.store_id, SUM(p.amount) AS total_sales FROM payment p JOIN rental r ON p.rental_id = r.rental_id JOIN inventory i USING (inventory_id) GROUP BY i.store_id',
];

/** Statements in the application's schema; AUTO_INCREMENT of store and staff is in the data. */
export const SAKILA: readonly string[] = [...TABLES.map((table) => `CREATE TABLE ${table}`), ...BESIDE];

/** Stores are the tenants; what all of them look up is shared. */
export const SAKILA_PLAN = `
  store: { tenant: { column: store_id } }
  staff: { tenant: { column: store_id } }
  customer: { tenant: { column: store_id } }
  inventory: { tenant: { column: store_id } }
  rental: { tenant: { parent: inventory, column: inventory_id, references: inventory_id } }
  payment: { tenant: { parent: customer, column: customer_id, references: customer_id } }
  actor: { tenant: shared }
  country: { tenant: shared }
  city: { tenant: shared }
  address: { tenant: shared }
  category: { tenant: shared }
  language: { tenant: shared }
  film: { tenant: shared }
  film_actor: { tenant: shared }
  film_category: { tenant: shared }
  film_text: { tenant: shared }`;

/** Key columns by table, for whoever reads rows in order. */
// prettier-ignore
export const SAKILA_KEYS: Readonly<Record<string, string>> = {
  store: 'store_id', staff: 'staff_id', customer: 'customer_id', inventory: 'inventory_id', rental: 'rental_id', payment: 'payment_id', actor: 'actor_id', country: 'country_id',
  city: 'city_id', address: 'address_id', category: 'category_id', language: 'language_id', film: 'film_id', film_actor: 'actor_id, film_id', film_category: 'film_id, category_id', film_text: 'film_id',
};

export const COUNTS = { countries: 109, cities: 600, addresses: 2_600, actors: 400, films: 2_000, customers: 2_400, inventory: 9_000, rentals: 42_000, payments: 40_000 } as const; // prettier-ignore

const NAMES = [
  'PENÉLOPE',
  'NICK',
  'ÉMILIE',
  'SØREN',
  'O’BRIEN',
  'ŁUKASZ',
  'MARY',
  '李',
  'ZOË',
  'JÜRGEN',
  "D'ARCY",
  'ΑΝΝΑ',
];
const FEATURES = ['Trailers', 'Commentaries', 'Deleted Scenes', 'Behind the Scenes'];
const RATINGS = ['G', 'PG', 'PG-13', 'R', 'NC-17'];
const BATCH = 1_000;

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** INSERT statements, parents first; rows of films bring their film_text by trigger. */
export function* sakilaRows(random: Random): Generator<string> {
  const name = (): string => quoted(random.pick(NAMES));
  const orNull = (chance: number, value: string): string => (random.chance(chance) ? 'NULL' : value);
  const day = (): string => `'2026-${two(1 + random.below(6))}-${two(1 + random.below(28))} ${two(random.below(24))}:${two(random.below(60))}:${two(random.below(60))}'`; // prettier-ignore
  const of = (count: number): number => 1 + random.below(count);
  yield* inserts('country (country_id, country)', upTo(COUNTS.countries).map((id) => `(${id}, 'Côte ${id}')`)); // prettier-ignore
  yield* inserts('city (city_id, city, country_id)', upTo(COUNTS.cities).map((id) => `(${id}, 'São ${id}', ${of(COUNTS.countries)})`)); // prettier-ignore
  yield* inserts(
    'address (address_id, address, address2, district, city_id, postal_code, phone, location)',
    upTo(COUNTS.addresses).map(
      (id) =>
        `(${id}, '${id} Straße', ${orNull(0.5, "''")}, 'Québec', ${of(COUNTS.cities)}, ${orNull(0.1, `'${10_000 + id}'`)}, '${random.below(1e9)}', ST_GeomFromText('POINT(${random.below(360) - 180}.${random.below(1e6)} ${random.below(180) - 90})'))`,
    ),
  );
  yield* inserts('category (category_id, name)', upTo(16).map((id) => `(${id}, 'Category ${id}')`)); // prettier-ignore
  yield* inserts('language (language_id, name)', upTo(6).map((id) => `(${id}, 'Language ${id}  ')`)); // prettier-ignore
  yield* inserts('actor (actor_id, first_name, last_name)', upTo(COUNTS.actors).map((id) => `(${id}, ${name()}, ${name()})`)); // prettier-ignore
  yield* inserts(
    'film (film_id, title, description, release_year, language_id, original_language_id, rental_duration, rental_rate, length, replacement_cost, rating, special_features)',
    upTo(COUNTS.films).map(
      (id) =>
        `(${id}, 'ACADEMY ${name().slice(1, -1)} ${id}', ${orNull(0.1, `REPEAT('A épic drama ${id} ', ${of(20)})`)}, ${orNull(0.1, String(1901 + random.below(255)))}, ${of(6)}, ${orNull(0.8, String(of(6)))},
         ${of(7)}, ${random.below(10)}.99, ${orNull(0.1, String(of(300)))}, ${random.below(999)}.${random.below(100)}, ${orNull(0.1, quoted(random.pick(RATINGS)))},
         ${orNull(0.1, quoted(FEATURES.filter(() => random.chance(0.5)).join(',')))})`,
    ),
  );
  yield* inserts('film_actor (actor_id, film_id)', upTo(COUNTS.films).flatMap((film) => some(random, 5, COUNTS.actors).map((actor) => `(${actor}, ${film})`))); // prettier-ignore
  yield* inserts('film_category (film_id, category_id)', upTo(COUNTS.films).map((film) => `(${film}, ${of(16)})`)); // prettier-ignore
  yield 'SET SESSION foreign_key_checks = 0';
  yield* inserts('store (store_id, manager_staff_id, address_id)', STORES.map((id) => `(${id}, ${id}, ${id})`)); // prettier-ignore
  yield 'SET SESSION foreign_key_checks = 1';
  yield* inserts('staff (staff_id, first_name, last_name, address_id, picture, store_id, username, password)', upTo(9).map((id) => `(${id}, ${name()}, ${name()}, ${of(COUNTS.addresses)}, ${orNull(0.3, `UNHEX(REPEAT(SHA2('${id}', 256), ${of(60)}))`)}, ${STORES[(id - 1) % 3]}, 'staff${id}', LEFT(SHA2('${id}', 256), 40))`)); // prettier-ignore
  yield* inserts('customer (customer_id, store_id, first_name, last_name, email, address_id, active, create_date)', upTo(COUNTS.customers).map((id) => `(${id}, ${random.pick(STORES)}, ${name()}, ${name()}, ${orNull(0.1, `'c${id}@sakila.org'`)}, ${of(COUNTS.addresses)}, ${random.below(2)}, '2026-01-01')`)); // prettier-ignore
  yield* inserts('inventory (inventory_id, film_id, store_id)', upTo(COUNTS.inventory).map((id) => `(${id}, ${of(COUNTS.films)}, ${random.pick(STORES)})`)); // prettier-ignore
  yield* inserts('rental (rental_id, rental_date, inventory_id, customer_id, return_date, staff_id)', upTo(COUNTS.rentals).map((id) => `(${id}, ${day()}, ${of(COUNTS.inventory)}, ${of(COUNTS.customers)}, ${orNull(0.2, day())}, ${of(9)})`), 'INSERT IGNORE'); // prettier-ignore
  yield* inserts('payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)', upTo(COUNTS.payments).map((id) => `(${id}, ${of(COUNTS.customers)}, ${of(9)}, ${orNull(0.05, String(of(COUNTS.rentals)))}, ${random.below(12)}.99, ${day()})`), 'INSERT IGNORE'); // prettier-ignore
}

const two = (number: number): string => String(number).padStart(2, '0');

const some = (random: Random, count: number, below: number): number[] => [
  ...new Set(Array.from({ length: count }, () => 1 + random.below(below))),
];

function* inserts(into: string, rows: readonly string[], verb = 'INSERT'): Generator<string> {
  for (let at = 0; at < rows.length; at += BATCH)
    yield `${verb} INTO ${into} VALUES ${rows.slice(at, at + BATCH).join(', ')}`;
}

/** One write of the application: single rows, moves between stores, cascades, and rows that triggers write. */
export function sakilaWrite(random: Random): string {
  const of = (count: number): number => 1 + random.below(count);
  const { films, customers, rentals, inventory, addresses, actors } = COUNTS;
  // prettier-ignore
  return random.pick([
    `INSERT IGNORE INTO rental (rental_date, inventory_id, customer_id, staff_id) VALUES (NOW(), ${of(inventory)}, ${of(customers)}, ${of(9)})`,
    `UPDATE rental SET return_date = NOW() WHERE rental_id = ${of(rentals)}`,
    `INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) SELECT customer_id, staff_id, rental_id, 3.99, NOW() FROM rental WHERE rental_id = ${of(rentals)}`,
    `UPDATE customer SET store_id = ${random.pick(STORES)} WHERE customer_id = ${of(customers)}`,
    `UPDATE inventory SET store_id = ${random.pick(STORES)} WHERE inventory_id = ${of(inventory)}`,
    `DELETE FROM rental WHERE rental_id = ${of(rentals)}`,
    `UPDATE rental SET rental_id = ${rentals * 2 + of(1_000_000)} WHERE rental_id = ${of(rentals)}`,
    `UPDATE film SET title = CONCAT('RENAMED ', ${of(1e6)}), special_features = 'Trailers,Commentaries', release_year = ${1902 + random.below(200)} WHERE film_id = ${of(films)}`,
    `UPDATE address SET location = ST_GeomFromText('LINESTRING(0 0, ${of(90)} ${of(90)})') WHERE address_id = ${of(addresses)}`,
    `UPDATE actor SET actor_id = ${1_000 + of(60_000)} WHERE actor_id = ${of(actors)}`,
    `DELETE FROM payment WHERE payment_id = ${of(COUNTS.payments)}`,
    `UPDATE staff SET picture = RANDOM_BYTES(${of(1_000)}) WHERE staff_id = ${of(9)}`,
    `UPDATE payment SET amount = amount + 0.01 WHERE customer_id = ${of(customers)} AND amount < 900`,
  ]);
}
