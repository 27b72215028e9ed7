// Which calls may be on the engine at once: lanes of places, shared between identities. An identity holds at most a share of the
// free places, waiting calls are served in turn by identity, and every wait has an end. No I/O; the clock is setTimeout.
import { GatewayError } from '../errors.ts';

/** Settings of the lanes; read at each call, so that a reload counts at once. */
export interface LaneBounds {
  /** Ordinary calls at the engine at once. */
  readonly engineConnections: number;
  /** Streams, upgrades and calls that wait for something to happen in the engine, at once. */
  readonly engineStreams: number;
  /** Longest wait for a place, in ms. */
  readonly engineQueueMs: number;
  /** Most of what is free to all that one identity may hold, in percent. */
  readonly sharePercent: number;
}

export const DEFAULT_BOUNDS: LaneBounds = {
  engineConnections: 256,
  engineStreams: 4096,
  engineQueueMs: 10_000,
  sharePercent: 25,
};

/** What the gateway asks in order to serve an identity: at once, for all identities together. */
const QUESTIONS = 64;
/** What it asks for itself (readiness, the event stream, leases): kept apart, so that callers' calls are not in their way. */
const OWN = 16;
/** Calls of one lane that may wait for a place. */
const MAX_WAITING = 4096;

/** `call`: short. `stream`: as long as it takes. `question`: what the gateway asks to serve an identity. `own`: for itself. */
export type LaneName = 'call' | 'stream' | 'question' | 'own';
export const LANE_NAMES: readonly LaneName[] = ['call', 'stream', 'question', 'own'];

/** A place in a lane, until it is given back. */
export class Place {
  readonly #lane: Lane;
  readonly #holder: string;
  #held = true;

  constructor(lane: Lane, holder: string) {
    this.#lane = lane;
    this.#holder = holder;
  }

  /** Doing so again changes nothing. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#lane.free(this.#holder);
  }
}

/** A call that waits for its place. */
export class Waiting {
  readonly place: Promise<Place>;
  #resolve!: (place: Place) => void;
  #reject!: (error: GatewayError) => void;
  readonly #leave: (waiting: Waiting) => void;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(leave: (waiting: Waiting) => void, waitMs: number, late: () => GatewayError) {
    this.#leave = leave;
    this.place = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timer = setTimeout(() => this.refuse(late()), waitMs);
  }

  /** Only the lane grants, and takes it out of the queue itself. */
  grant(place: Place): void {
    clearTimeout(this.#timer);
    this.#resolve(place);
  }

  refuse(error: GatewayError): void {
    clearTimeout(this.#timer);
    this.#leave(this);
    this.#reject(error);
  }
}

/** What operators see of a lane. */
export interface LaneState {
  readonly used: number;
  readonly waiting: number;
  readonly refused: number;
  /** Places of the identity that holds most. */
  readonly largestShare: number;
}

export class Lane {
  readonly #bounds: () => { readonly total: number; readonly sharePercent: number; readonly queueMs: number };
  /** How the places are called in a refusal, and the setting that bounds them. */
  readonly #words: { readonly places: string; readonly setting: string };
  readonly #held = new Map<string, number>();
  /** By holder; the one whose turn it is stands first. */
  readonly #queues = new Map<string, Set<Waiting>>();
  #used = 0;
  #waiting = 0;
  #refused = 0;

  constructor(
    words: { readonly places: string; readonly setting: string },
    bounds: () => { readonly total: number; readonly sharePercent: number; readonly queueMs: number },
  ) {
    this.#words = words;
    this.#bounds = bounds;
  }

  /** @throws {GatewayError} `engine-busy` when too many wait already */
  take(holder: string): Place | Waiting {
    const queue = this.#queues.get(holder);
    if (queue === undefined && this.#mayTake(holder)) return this.#grant(holder);
    const { sharePercent, queueMs } = this.#bounds();
    const most = Math.max(1, Math.floor((MAX_WAITING * sharePercent) / 100));
    if (this.#waiting >= MAX_WAITING || (queue?.size ?? 0) >= most) {
      this.#refused++;
      throw new GatewayError('engine-busy', `too many calls wait for the engine; ${this.why(holder)}`, {
        retryAfterS: Math.ceil(queueMs / 1000),
      });
    }
    const waiting = new Waiting(
      (gone) => this.#leave(holder, gone),
      queueMs,
      () => {
        this.#refused++;
        return new GatewayError(
          'engine-busy',
          `no connection to the engine came free within ${queueMs} ms: ${this.why(holder)}`,
          { retryAfterS: Math.ceil(queueMs / 1000) },
        );
      },
    );
    if (queue === undefined) this.#queues.set(holder, new Set([waiting]));
    else queue.add(waiting);
    this.#waiting++;
    return waiting;
  }

  /** A place, or undefined where one would have to wait. */
  tryTake(holder: string): Place | undefined {
    if (this.#mayTake(holder)) return this.#grant(holder);
    this.#refused++;
    return undefined;
  }

  /** Called by the place that was held. */
  free(holder: string): void {
    const left = (this.#held.get(holder) ?? 1) - 1;
    if (left === 0) this.#held.delete(holder);
    else this.#held.set(holder, left);
    this.#used--;
    this.serve();
  }

  /** Grants what is free to those who wait, one holder after the other. Call after the bounds have grown. */
  serve(): void {
    while (this.#queues.size > 0 && this.#serveOne());
  }

  #serveOne(): boolean {
    for (const [holder, queue] of this.#queues) {
      if (!this.#mayTake(holder)) continue;
      const [first] = queue;
      if (first === undefined) continue;
      queue.delete(first);
      this.#waiting--;
      // Behind the others: the next free place is another's.
      this.#queues.delete(holder);
      if (queue.size > 0) this.#queues.set(holder, queue);
      first.grant(this.#grant(holder));
      return true;
    }
    return false;
  }

  refuseAll(error: GatewayError): void {
    for (const queue of [...this.#queues.values()]) for (const waiting of [...queue]) waiting.refuse(error);
  }

  state(): LaneState {
    return {
      used: this.#used,
      waiting: this.#waiting,
      refused: this.#refused,
      largestShare: Math.max(0, ...this.#held.values()),
    };
  }

  #grant(holder: string): Place {
    this.#used++;
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + 1);
    return new Place(this, holder);
  }

  /** What one may hold shrinks as others hold more: no number of greedy ones leaves nothing to the next. */
  #mayTake(holder: string): boolean {
    return this.#used < this.#bounds().total && (this.#held.get(holder) ?? 0) < this.#share(holder);
  }

  #share(holder: string): number {
    const { total, sharePercent } = this.#bounds();
    const free = total - (this.#used - (this.#held.get(holder) ?? 0));
    return Math.max(1, Math.floor((free * sharePercent) / 100));
  }

  #leave(holder: string, waiting: Waiting): void {
    const queue = this.#queues.get(holder);
    if (queue?.delete(waiting) !== true) return;
    this.#waiting--;
    if (queue.size === 0) this.#queues.delete(holder);
  }

  /** Why there is no place for a holder now, as a clause. */
  why(holder: string): string {
    const { total, sharePercent } = this.#bounds();
    const { places, setting } = this.#words;
    const held = this.#held.get(holder) ?? 0;
    if (this.#used >= total) return `all ${total} ${places} are in use (${setting})`;
    return (
      `this identity has ${held} of the ${this.#share(holder)} ${places} one identity may have now, ` +
      `${sharePercent} % of those that are free (${setting}, limits.sharePercent); end some of them`
    );
  }
}

/** The lanes to one engine. */
export class Lanes {
  readonly #lanes: Readonly<Record<LaneName, Lane>>;

  constructor(bounds: () => LaneBounds) {
    const words = (places: string, setting: string) => ({ places, setting });
    const of = (total: (of: LaneBounds) => number, share?: number) => () => {
      const now = bounds();
      return { total: total(now), sharePercent: share ?? now.sharePercent, queueMs: now.engineQueueMs };
    };
    this.#lanes = {
      call: new Lane(
        words('calls', 'limits.engineConnections'),
        of((b) => b.engineConnections),
      ),
      stream: new Lane(
        words('streams', 'limits.engineStreams'),
        of((b) => b.engineStreams),
      ),
      question: new Lane(
        words('questions', 'not settable'),
        of(() => QUESTIONS),
      ),
      own: new Lane(
        words('questions of the gateway', 'not settable'),
        of(() => OWN, 100),
      ),
    };
  }

  take(lane: LaneName, holder: string): Place | Waiting {
    return this.#lanes[lane].take(holder);
  }

  refuseAll(error: GatewayError): void {
    for (const lane of Object.values(this.#lanes)) lane.refuseAll(error);
  }

  state(): Readonly<Record<LaneName, LaneState>> {
    const { call, stream, question, own } = this.#lanes;
    return { call: call.state(), stream: stream.state(), question: question.state(), own: own.state() };
  }
}
