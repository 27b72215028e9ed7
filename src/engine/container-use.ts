// Which calls use a container as it was made: its maker, perhaps another caller, chose what it may reach.
// Facts of the Engine API; policy says who may use which container.
import type { EngineCall, ResourceRef } from './types.ts';

/** Actions that run something in a container, run it again, or read and write what it sees. */
const ACTIONS_ON: ReadonlySet<string> = new Set([
  'container.start',
  'container.restart',
  'container.unpause',
  'container.attach',
  'container.exec.create',
  'container.exec.start',
  'container.archive.stat',
  'container.archive.read',
  'container.archive.write',
  'container.checkpoint.create',
  'image.commit',
]);
/** Actions whose bodies share namespaces, volumes or links of other containers. */
const ACTIONS_WITH: ReadonlySet<string> = new Set(['container.create', 'network.connect']);

/** Whether a reference is to an existing container that the call uses with all it was made with. */
export function isUsedAsMade(call: EngineCall, { kind, role, name }: ResourceRef): boolean {
  if (name === '' || role === 'creates') return false;
  if (kind === 'exec') return ACTIONS_ON.has(call.action);
  if (kind !== 'container') return false;
  if (ACTIONS_ON.has(call.action)) return role === 'target';
  return ACTIONS_WITH.has(call.action) && role === 'uses';
}

/** Whether any reference of such an action can be one, known without the call. */
export const usesContainers = (action: string): boolean => ACTIONS_ON.has(action) || ACTIONS_WITH.has(action);
