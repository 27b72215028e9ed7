// A door of BuildKit that was opened to be read: the upgraded connection ends here on both sides, and what passes between them is
// judged. See src/buildkit.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ControlDoor } from '../../buildkit/control-door.ts';
import { Refusal } from '../../buildkit/grpc.ts';
import { relay } from '../../buildkit/relay.ts';
import { ownAnnouncement, SessionDoor, UUID_HEADER } from '../../buildkit/session-door.ts';
import { relaySession } from '../../buildkit/session-relay.ts';
import { GatewayError } from '../../errors.ts';
import type { EngineRequest, Outcome } from '../../proxy/types.ts';
import type { GatewayParts } from '../parts.ts';
import type { Known, Sent } from '../steps/values.ts';
import { BuildDesk } from './desk.ts';
import { distrusted } from './state.ts';

export interface Mediation {
  /** The request that opens the door, in the caller's own name. */
  readonly request: EngineRequest;
  /** Carries what passes, until both sides are done. */
  run(caller: Duplex, engine: Duplex, signal: AbortSignal): Promise<Pick<Outcome, 'bytesIn' | 'bytesOut' | 'end'>>;
}

/**
 * The mediation of a judged call; undefined for one that is no door, or one that passes unread.
 *
 * @throws {GatewayError} for an announcement of a session that is not one, and for tenants that must not meet
 */
export function mediationOf(sent: Sent, parts: GatewayParts): Mediation | undefined {
  const { call, principal, request } = sent;
  if (sent.decision.isUnread !== false) return undefined;
  if (principal.tenant !== undefined && parts.buildkit.isDistrusting()) throw distrusted();
  const desk = new BuildDesk(sent, parts);
  const isSession = call.action === 'build.session';
  const headers = isSession ? announced(request.headers, sent, desk) : request.headers;
  const session = isSession ? (headers[headers.indexOf(UUID_HEADER) + 1] ?? '') : '';
  return {
    request: { ...request, headers },
    async run(caller, engine, signal) {
      const before = bytesOf(caller);
      // The caller asks the engine on /grpc; on /session it serves.
      const { end } = isSession
        ? await relaySession(engine, caller, new SessionDoor(desk, session), { signal })
        : await relay(caller, engine, new ControlDoor(desk), { signal, holder: desk.owner.mark });
      const after = bytesOf(caller);
      return { bytesIn: after.read - before.read, bytesOut: after.written - before.written, end };
    },
  };
}

const bytesOf = (socket: Duplex) => ({
  read: (socket as Partial<Socket>).bytesRead ?? 0,
  written: (socket as Partial<Socket>).bytesWritten ?? 0,
});

function announced(headers: readonly string[], { arrival }: Known, desk: BuildDesk): string[] {
  const others: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (/^x-docker-expose-session-/i.test(headers[i] as string)) continue;
    others.push(headers[i] as string, headers[i + 1] as string);
  }
  try {
    return [...others, ...ownAnnouncement(arrival.rawHeaders, desk.owner).headers];
  } catch (error) {
    if (error instanceof Refusal) throw new GatewayError('request-malformed', `denied: ${error.message}`);
    throw error;
  }
}
