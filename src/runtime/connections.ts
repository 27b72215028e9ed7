// Which connections a listener keeps. Before credentials are accepted on it a connection counts for its address, afterwards for its
// identity too. Where there is no room, the address or identity with most loses its oldest silent one: a flood closes its own.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';

export interface ConnectionLimits {
  /** Open at once. */
  readonly connections: number;
  /** Of one address. Of those that are free one identity may hold half. */
  readonly connectionsPerIp: number;
  /** Of one address and without credentials so far. Default: `connectionsPerIp`. */
  readonly connectionsUnproven?: number;
  /** Most of what is free to all that one identity may hold, in percent. Default 100. */
  readonly sharePercent?: number;
}

/** Of the connections of one address that are free, one identity may hold so many percent: others may be behind the same NAT. */
const SHARE_OF_ADDRESS = 50;

/** One open connection, as the steps behind the listener see it. */
export interface ConnectionClaim {
  /**
   * Says whose credentials were taken on the connection.
   *
   * @param holder tells identities apart
   * @throws {GatewayError} `too-many-connections` when the identity has its share
   */
  claim(holder: string): void;
}

const claims = new WeakMap<Duplex, ConnectionClaim>();
/** What a listener knows of a connection; undefined for one that came another way. */
export const claimOf = (socket: Duplex | undefined): ConnectionClaim | undefined =>
  socket === undefined ? undefined : claims.get(socket);

interface Connection extends ConnectionClaim {
  readonly socket: Duplex;
  readonly from: Address;
  holder: string | undefined;
  /** A request is under way on it. */
  isBusy(): boolean;
}

interface Address {
  readonly name: string;
  /** Oldest word first: a connection moves behind the others with each request. */
  readonly unproven: Set<Connection>;
  readonly known: Set<Connection>;
  readonly byHolder: Map<string, number>;
}

export interface ConnectionCounts {
  readonly open: number;
  readonly unproven: number;
  /** Closed to make room for others. */
  readonly closed: number;
  /** Turned away. */
  readonly refused: number;
}

export class Connections {
  readonly #limits: () => ConnectionLimits;
  /** Whether the answer last begun on a socket is still to come. */
  readonly #isBusy: (socket: Duplex) => boolean;
  readonly #open = new Map<Duplex, Connection>();
  readonly #addresses = new Map<string, Address>();
  readonly #byHolder = new Map<string, number>();
  #unproven = 0;
  #closed = 0;
  #refused = 0;

  /** @param isBusy whether a request is under way on a socket of the HTTP server's */
  constructor(limits: () => ConnectionLimits, isBusy: (socket: Duplex) => boolean) {
    this.#limits = limits;
    this.#isBusy = isBusy;
  }

  has(socket: Duplex): boolean {
    return this.#open.has(socket);
  }
  sockets(): Iterable<Duplex> {
    return this.#open.keys();
  }
  counts(): ConnectionCounts {
    return { open: this.#open.size, unproven: this.#unproven, closed: this.#closed, refused: this.#refused };
  }

  /**
   * Takes a connection in, and closes another for it where that is fair.
   *
   * @param address undefined where all callers are on this machine (unix sockets): only their identities count there
   * @returns false when there is no room for it
   */
  admit(socket: Duplex, address: string | undefined): boolean {
    const limits = this.#limits();
    const name = address === undefined ? '' : networkOf(address);
    const from = this.#addresses.get(name) ?? { name, unproven: new Set(), known: new Set(), byHolder: new Map() };
    if (!this.#makeRoom(from, address === undefined ? undefined : limits, limits)) {
      this.#refused++;
      return false;
    }
    const connection: Connection = {
      socket,
      from,
      holder: undefined,
      // The socket of the HTTP server may be another: that of TLS around this one.
      isBusy: () => this.#isBusy(connection.socket),
      claim: (holder) => this.#claim(connection, holder),
    };
    this.#addresses.set(name, from);
    from.unproven.add(connection);
    this.#unproven++;
    this.#open.set(socket, connection);
    claims.set(socket, connection);
    socket.once('close', () => this.#forget(socket, connection));
    return true;
  }

  /** TLS came to be on a connection: what the server calls its socket from now on. */
  secured(raw: Duplex | undefined, secure: Duplex): void {
    const connection = raw === undefined ? undefined : this.#open.get(raw);
    if (connection === undefined) return;
    claims.set(secure, connection);
    const isBusy = this.#isBusy;
    connection.isBusy = () => isBusy(secure);
  }

  /** A request came on a connection. */
  spoke(socket: Duplex): void {
    const connection = claims.get(socket) as Connection | undefined;
    if (connection === undefined) return;
    const among = connection.holder === undefined ? connection.from.unproven : connection.from.known;
    if (among.delete(connection)) among.add(connection);
  }

  #makeRoom(from: Address, ofAddress: ConnectionLimits | undefined, limits: ConnectionLimits): boolean {
    if (ofAddress !== undefined) {
      if (from.unproven.size >= (limits.connectionsUnproven ?? limits.connectionsPerIp) && !this.#close(from.unproven))
        return false;
      if (from.unproven.size + from.known.size >= limits.connectionsPerIp && !this.#closeOf(from)) return false;
    }
    if (this.#open.size < limits.connections) return true;
    let worst: Address | undefined;
    for (const one of this.#addresses.values()) if (one.unproven.size > (worst?.unproven.size ?? 0)) worst = one;
    if (worst !== undefined && this.#close(worst.unproven)) return true;
    for (const one of this.#addresses.values()) if (one.unproven.size > 0 && this.#close(one.unproven)) return true;
    const [greediest] = [...this.#byHolder].reduce((most, one) => (one[1] > most[1] ? one : most), ['', 0]);
    for (const one of this.#addresses.values()) if (this.#close(one.known, greediest)) return true;
    return false;
  }

  /** Room within an address: silent ones without credentials go first, then those of the identity that has most. */
  #closeOf(from: Address): boolean {
    if (this.#close(from.unproven)) return true;
    const [greediest] = [...from.byHolder].reduce((most, one) => (one[1] > most[1] ? one : most), ['', 0]);
    return this.#close(from.known, greediest);
  }

  #close(among: Set<Connection>, holder?: string): boolean {
    for (const connection of among) {
      if ((holder !== undefined && connection.holder !== holder) || connection.isBusy()) continue;
      this.#closed++;
      // At once: the event of its end comes later.
      this.#forget(connection.socket, connection);
      connection.socket.destroy();
      return true;
    }
    return false;
  }

  #claim(connection: Connection, holder: string): void {
    if (connection.holder === holder || !this.#open.has(connection.socket)) return;
    this.#refuseBeyondShare(connection, holder);
    this.#uncount(connection);
    connection.holder = holder;
    connection.from.known.add(connection);
    add(connection.from.byHolder, holder, 1);
    add(this.#byHolder, holder, 1);
  }

  #refuseBeyondShare({ from }: Connection, holder: string): void {
    const limits = this.#limits();
    const share = shareOf(
      limits.connections,
      limits.sharePercent ?? 100,
      this.#open.size - 1,
      this.#byHolder.get(holder) ?? 0,
    );
    const here = from.byHolder.get(holder) ?? 0;
    // Without this one, which is about to become the identity's.
    const size = from.unproven.size + from.known.size - 1;
    const shareHere = from.name === '' ? share : shareOf(limits.connectionsPerIp, SHARE_OF_ADDRESS, size, here);
    const isHere = here >= shareHere;
    if (!isHere && (this.#byHolder.get(holder) ?? 0) < share) return;
    this.#refused++;
    throw new GatewayError(
      'too-many-connections',
      `this identity has ${isHere ? here : this.#byHolder.get(holder)} connections open${isHere ? ' from this address' : ''}, ` +
        `and may have ${isHere ? shareHere : share} now (${isHere ? 'limits.connectionsPerIp' : 'limits.connections, limits.sharePercent'}); ` +
        'close some of them',
    );
  }

  #uncount(connection: Connection): void {
    const { holder, from } = connection;
    if (holder === undefined) {
      if (from.unproven.delete(connection)) this.#unproven--;
      return;
    }
    if (!from.known.delete(connection)) return;
    add(from.byHolder, holder, -1);
    add(this.#byHolder, holder, -1);
  }

  #forget(socket: Duplex, connection: Connection): void {
    if (!this.#open.delete(socket)) return;
    this.#uncount(connection);
    const { from } = connection;
    if (from.unproven.size + from.known.size === 0) this.#addresses.delete(from.name);
  }
}

/** What one may hold of `total` when others hold the rest of `used`: at least one. */
const shareOf = (total: number, percent: number, used: number, own: number): number =>
  Math.max(1, Math.floor(((total - (used - own)) * percent) / 100));

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count <= 0) counts.delete(key);
  else counts.set(key, count);
}

/** Who owns an IPv6 address owns the 64 bits behind it (RFC 6177): the network counts as one address. */
export function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined ? left : [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
