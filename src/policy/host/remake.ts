// Containers that a tool ends to make them again: what the preset would refuse at the second step is refused at the first, so
// that nothing is lost half-way.
import type { EngineCall, ResourceRef } from '../../engine/types.ts';
import type { CallCheck } from './container.ts';
import { containerCreate } from './container.ts';
import { quote } from './report.ts';
import type { HostRules } from './rules.ts';

/** Calls that end, rename or change an existing container, or run something in it. */
export const REMAKE_ACTIONS: ReadonlySet<string> = new Set([
  'container.stop',
  'container.kill',
  'container.restart',
  'container.pause',
  'container.unpause',
  'container.rename',
  'container.remove',
  'container.update',
  'container.exec.create',
  'container.archive.write',
  'network.disconnect',
]);

/** The containers of a call that must be known well enough to be made again. */
export const isRemade = (call: Pick<EngineCall, 'action'>, ref: ResourceRef): boolean =>
  ref.kind === 'container' && ref.role !== 'creates' && ref.name !== '' && REMAKE_ACTIONS.has(call.action);

/** @param also what is judged of the call itself */
export function remakable(rules: HostRules, also: CallCheck | undefined): CallCheck {
  const judge = containerCreate(rules);
  return (call, report) => {
    also?.(call, report);
    for (const ref of call.resources) {
      if (!isRemade(call, ref)) continue;
      const what = `names container ${quote(ref.resolvedName ?? ref.name)}`;
      if (ref.remake === undefined) {
        report.deny(
          ref.at,
          ref.name,
          `${what}, and nothing is known of it (allowed: what this preset could make again)`,
        );
        continue;
      }
      const again = report.anew(ref.remake.defaults);
      judge(ref.remake, again);
      for (const { message } of again.violations) {
        report.deny(ref.at, ref.name, `${what}, which this preset could not make again: ${message}`);
      }
    }
  };
}
