/** A Database that stops after a statement was answered, and lets a test do something before the caller goes on. */
import { Database, type DatabaseOptions, type Session } from '../../src/db/database.ts';

type Send = (sql: string | readonly string[], ...rest: unknown[]) => Promise<unknown>;
const STATEMENTS = new Set<PropertyKey>(['raw', 'rows', 'rowsOfEach', 'run', 'write']);

export class InterruptedDatabase extends Database {
  /** Called once for the first statement that matches, after its answer. */
  interrupt: { readonly after: RegExp; readonly act: () => Promise<unknown> } | null = null;
  statements: string[] = [];

  constructor(options: DatabaseOptions) {
    super(options);
  }

  override session<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return super.session((session) => use(this.#wrap(session)));
  }

  #wrap(session: Session): Session {
    return new Proxy(session, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as Send;
        if (!STATEMENTS.has(name)) return method;
        return async (sql: string | readonly string[], ...rest: unknown[]) => {
          const answer = await method(sql, ...rest);
          for (const statement of [sql].flat()) {
            this.statements.push(statement);
            const { interrupt } = this;
            if (interrupt?.after.test(statement) !== true) continue;
            this.interrupt = null;
            await interrupt.act();
          }
          return answer;
        };
      },
    });
  }
}
