// Plugins that change requests, in order. What they leave is classified and decoded again, so that no plugin can smuggle a form.
import type { PluginChain } from '../../admission/chain.ts';
import type { AdmissionContext } from '../../admission/request.ts';
import { toCall } from '../../engine/call.ts';
import { classify } from '../../engine/classify.ts';
import { decodeBody } from '../../engine/decode.ts';
import { hasRegistryCredentials } from '../../engine/registry-credentials.ts';
import { renderBody } from '../../engine/render-body.ts';
import { renderTarget } from '../../engine/render-target.ts';
import type { EngineCall, LeftOut } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { headerValues } from '../arrival.ts';
import { socketOf } from '../channel.ts';
import type { GatewayParts } from '../parts.ts';
import type { Passage } from '../passage.ts';
import { refusedAt } from '../refusal.ts';
import { atMsOf, type Changed, nothingMore, type Read } from './values.ts';

/** @throws {GatewayError} `plugin-denied`, `plugin-failed`, `mutation-not-stable` */
export function mutate(read: Read, passage: Passage, parts: GatewayParts): Changed | Promise<Changed> {
  const plugins = parts.plugins();
  if (!plugins.concerns(read.call.action)) {
    const call = withCredentials(read);
    return nothingMore<Changed>(call === read.call ? read : Object.freeze({ ...read, call }));
  }
  passage.enter(plugins);
  return changedBy(plugins, read, passage, parts);
}

async function changedBy(
  plugins: PluginChain,
  read: Read,
  passage: Passage,
  { ownSockets }: GatewayParts,
): Promise<Changed> {
  const { arrival, principal, auditId } = read;
  const { source, channel } = arrival;
  const admission: AdmissionContext = { auditId, principal, source, socket: socketOf(channel), at: atMsOf(read) };
  const ownSocket = ownSockets?.offer({ principal, source, channel, auditId });
  passage.offer(ownSocket);
  const changing = ownSocket === undefined ? admission : { ...admission, ownSocket: () => ownSocket.take() };
  try {
    const { call, changes, annotations } = await plugins.mutate(read.call, changing, reread);
    const granted = ownSocket?.path;
    const seenBy = Object.freeze({
      plugins,
      admission: granted === undefined ? admission : { ...admission, granted },
      changes,
    });
    return Object.freeze({ ...read, call: withCredentials({ arrival, call }), seenBy, annotations, ownSocket });
  } catch (refused) {
    throw refusedAt({ ...read, ownSocket, seenBy: { plugins, admission, changes: [] } }, refused);
  }
}

/** The caller's credentials for a registry are in a header, and beside the value. */
const withCredentials = ({ arrival, call }: Pick<Read, 'arrival' | 'call'>): EngineCall =>
  hasRegistryCredentials(headerValues(arrival.rawHeaders, 'x-registry-auth'))
    ? Object.freeze({ ...call, credentials: true })
    : call;

/** Reads a changed call as the engine would. */
function reread(call: EngineCall, changed: Pick<EngineCall, 'body' | 'query'>): EngineCall {
  const rendered = renderTarget({ ...call, query: changed.query });
  const target = {
    ...classify(call.operation.method, rendered),
    ...(call.credentials === true ? { credentials: true } : {}),
    ...(call.leftOut === undefined ? {} : { leftOut: call.leftOut }),
  };
  if (target.operation !== call.operation || target.action !== call.action) {
    throw new GatewayError('plugin-failed', 'a plugin changed what the call does, so it is denied');
  }
  const bytes = renderBody({ operation: call.operation, body: changed.body });
  if (bytes === undefined) return toCall(target, undefined);
  const leftOut: LeftOut[] = [];
  const body = decodeBody(target, ['application/json'], bytes, {}, leftOut);
  if (leftOut[0] !== undefined) {
    throw new GatewayError('plugin-failed', `a plugin added ${leftOut[0].at}, which no engine reads, so it is denied`);
  }
  return toCall(target, body);
}
