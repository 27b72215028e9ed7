// Whose call it is: token, certificate or socket give a principal. From here on the call, its connection and what is asked of the
// engine count for that identity.
import type { ForeignToken } from '../../identity/foreign-token.ts';
import type { Principal } from '../../policy/types.ts';
import type { GatewayParts } from '../parts.ts';
import type { Passage } from '../passage.ts';
import { refusedAt } from '../refusal.ts';
import type { Arrived, Known } from './values.ts';

/** @throws {GatewayError} one of the 401 codes, `too-many-calls` */
export function authenticate(arrived: Arrived, passage: Passage, parts: GatewayParts): Known | Promise<Known> {
  const { arrival } = arrived;
  const { rawHeaders, source, channel } = arrival;
  let foreignToken: ForeignToken | undefined;
  const onForeign = (token: ForeignToken) => {
    foreignToken = token;
  };
  let found: Principal | Promise<Principal>;
  try {
    const { identity, speaksFor } = channel;
    speaksFor?.checkWay();
    found =
      speaksFor !== undefined
        ? parts.authenticator.onDelegation(speaksFor.delegation, rawHeaders, onForeign)
        : identity === undefined
          ? parts.authenticator.authenticate(rawHeaders, arrival.peer, source, onForeign)
          : parts.authenticator.onSocket(identity, rawHeaders, source, onForeign);
  } catch (fault) {
    throw unknown(arrived, foreignToken, fault);
  }
  // A token that was verified a moment ago is known at once.
  if (!(found instanceof Promise)) return counted(found, foreignToken, arrived, passage, parts);
  return found.then(
    (principal) => counted(principal, foreignToken, arrived, passage, parts),
    (fault: unknown) => Promise.reject(unknown(arrived, foreignToken, fault)),
  );
}

const unknown = (arrived: Arrived, foreignToken: ForeignToken | undefined, fault: unknown): unknown =>
  foreignToken === undefined ? fault : refusedAt({ ...arrived, foreignToken }, fault);

/** Takes a place among the identity's calls and connections. */
function counted(
  principal: Principal,
  foreignToken: ForeignToken | undefined,
  arrived: Arrived,
  passage: Passage,
  parts: GatewayParts,
): Known {
  const holder = holderName(principal);
  const engine = parts.engine.as({ name: holder, recheck: () => parts.authenticator.recheck(principal) });
  const known: Known = Object.freeze({ ...arrived, principal, engine, foreignToken });
  try {
    passage.take(holder, parts.inFlight);
    arrived.arrival.connection?.claim(holder);
  } catch (full) {
    throw refusedAt(known, full);
  }
  return known;
}

/** What an identity's shares are counted under: issuer and subject. */
export const holderName = ({ issuer, subject }: Principal): string => `${issuer} ${subject}`;
