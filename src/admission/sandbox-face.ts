// What `dockgate/plugin` is inside the sandbox: pure functions alone, since there are no modules of the system there.
import type { HostSpec, HostViolation } from '../policy/host/index.ts';
import type { AdmissionRequest } from './plugin.ts';

export { type ParsedBind, parseBind } from '../engine/mounts.ts';
export { definePlugin } from './plugin.ts';
export { deny, isLike, listOf, numberOf, objectOf, PASS, textOf } from './reading.ts';

/** The presets' checks need more than the sandbox has. @throws {Error} always */
export function presetViolations(_request: AdmissionRequest, _spec: HostSpec): readonly HostViolation[] {
  throw new Error('presetViolations is not served in the sandbox: load the plugin with tier process or trusted');
}
