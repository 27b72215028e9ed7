// Plugins that veto see the request as it will be sent. Before them, a body of which the engine would read more than was judged is
// refused.

import { refuseWhatEngineReads } from '../left-out.ts';
import type { GatewayParts } from '../parts.ts';
import type { Passage } from '../passage.ts';
import { refusedAt } from '../refusal.ts';
import { siteOf } from './decide.ts';
import { type Decided, nothingMore, type Vetted } from './values.ts';

/** @throws {GatewayError} `plugin-denied`, `plugin-failed`, `body-malformed` */
export function validate(decided: Decided, passage: Passage, parts: GatewayParts): Vetted | Promise<Vetted> {
  return decided.seenBy === undefined && decided.call.leftOut === undefined
    ? nothingMore<Vetted>(decided)
    : vettedBy(decided, passage, parts);
}

async function vettedBy(decided: Decided, passage: Passage, parts: GatewayParts): Promise<Vetted> {
  const { call, seenBy } = decided;
  await refuseWhatEngineReads(call, parts.engine);
  if (seenBy === undefined) return nothingMore<Vetted>(decided);
  const { plugins, admission } = seenBy;
  const site = plugins.looksUp(call.action) ? siteOf(decided, call, parts) : undefined;
  const { annotations: more, warnings } = await plugins.validate(call, { ...admission, site });
  const annotations = Object.freeze({ ...decided.annotations, ...more });
  const responses = plugins.responses(call, admission);
  const vetted: Vetted = Object.freeze({ ...decided, annotations, warnings, responses, watch: undefined });
  if (call.operation.stream === 'none') {
    if (responses === undefined) passage.leavePlugins();
    return vetted;
  }
  try {
    const watch = await plugins.stream(call, admission);
    passage.watch(watch);
    // A stream may last for hours: it keeps no plugins that see nothing of it.
    if (responses === undefined && watch === undefined) passage.leavePlugins();
    return Object.freeze({ ...vetted, watch });
  } catch (denied) {
    throw refusedAt(vetted, denied);
  }
}
