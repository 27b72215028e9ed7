// Whose calls take places at the engine, and how a call waits for its turn: it leaves the queue when its caller goes away, and
// is asked once more whether it may be made.
import { GatewayError } from '../errors.ts';
import type { Ending } from './ending.ts';
import type { Place, Waiting } from './lanes.ts';
import type { CallerEnd } from './types.ts';

/** Whose calls they are. */
export interface Holder {
  /** Tells identities apart; they share the places. */
  readonly name: string;
  /** Asked after a wait for a place. @throws {GatewayError} when the call must not be made any more */
  recheck?(): void;
}

/** What the gateway asks for itself. */
export const ITSELF: Holder = { name: '' };

export const stopping = (): GatewayError => new GatewayError('shutting-down', 'the gateway is stopping');

/** Waits for a place; undefined when the caller leaves or the call is ended meanwhile. @throws {GatewayError} `engine-busy` */
export async function turnOf(
  waiting: Waiting,
  holder: Holder,
  caller: CallerEnd,
  ending: Ending | undefined,
): Promise<Place | undefined> {
  let hasLeft = false;
  const leave = () => {
    hasLeft = true;
    waiting.refuse(stopping());
  };
  caller.onGone(leave);
  if (ending?.ended) leave();
  else ending?.onEnd(leave);
  try {
    const place = await waiting.place;
    if (!hasLeft) return rechecked(place, holder);
    place.release();
    return undefined;
  } catch (error) {
    if (hasLeft) return undefined;
    throw error;
  } finally {
    caller.onGone(() => {});
    ending?.onEnd(undefined);
  }
}

/** Waits for a place until the signal. @throws {GatewayError} `engine-busy`, `shutting-down` */
export async function turnUntil(waiting: Waiting, holder: Holder, signal: AbortSignal | undefined): Promise<Place> {
  const leave = () => waiting.refuse(new GatewayError('shutting-down', 'the call was ended'));
  if (signal?.aborted) leave();
  signal?.addEventListener('abort', leave, { once: true });
  try {
    return rechecked(await waiting.place, holder);
  } finally {
    signal?.removeEventListener('abort', leave);
  }
}

function rechecked(place: Place, holder: Holder): Place {
  try {
    holder.recheck?.();
    return place;
  } catch (error) {
    place.release();
    throw error;
  }
}
