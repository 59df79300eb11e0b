/** A TCP proxy in front of a server, whose line a test cuts, silences or slows while connections stand. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export type Line =
  | { readonly kind: 'passes' }
  /** Every connection is closed, standing ones too. */
  | { readonly kind: 'dead' }
  /** Accepts, and says nothing; what stands falls silent, and stays so when the line is mended. */
  | { readonly kind: 'silent' }
  /** Whatever the server says arrives so much later. */
  | { readonly kind: 'slow'; readonly delayMs: number };

export class Proxy {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #muted = new WeakSet<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #server: Server;
  #line: Line = { kind: 'passes' };

  constructor(port: number) {
    this.#port = port;
    // Whoever is silent does not say goodbye either.
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  /** @returns the address of the server, by way of this proxy */
  static async before(url: string): Promise<{ proxy: Proxy; url: string }> {
    const through = new URL(url);
    const proxy = new Proxy(Number(through.port));
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    through.hostname = '127.0.0.1';
    through.port = String(proxy.port);
    return { proxy, url: through.toString() };
  }

  /** Sockets of its own, on either side. */
  get sockets(): number {
    return this.#sockets.size;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  set(line: Line): void {
    // What is still under way would arrive out of order.
    const isOutOfOrder = this.#line.kind === 'slow';
    this.#line = line;
    if (isOutOfOrder || line.kind === 'dead') this.cut();
    if (line.kind === 'silent') for (const socket of this.#sockets) this.#muted.add(socket);
  }

  /** Closes what stands, as a server does that fails over. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    for (const timer of this.#timers) clearTimeout(timer);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #accept(client: Socket): void {
    this.#keep(client);
    if (this.#line.kind === 'dead') return void client.destroy();
    if (this.#line.kind === 'silent') {
      this.#muted.add(client);
      return void client.resume();
    }
    const server = this.#keep(connect(this.#port, '127.0.0.1'));
    client.on('data', (bytes) => this.#pass(bytes, server, 0));
    server.on('data', (bytes) =>
      this.#pass(bytes, client, this.#line.kind === 'slow' ? this.#line.delayMs : 0),
    );
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  }

  #pass(bytes: Buffer, to: Socket, delayMs: number): void {
    if (this.#muted.has(to) || to.destroyed) return;
    if (delayMs === 0) return void to.write(bytes);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!to.destroyed) to.write(bytes);
    }, delayMs);
    this.#timers.add(timer);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on('error', () => {}); // the other end is gone
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('end', () => {
      if (!this.#muted.has(socket)) socket.end();
    });
    return socket;
  }
}
