// The typed check of a call against the host presets and a policy's changes to them.

export { compileHostSpec, JUDGED_ACTIONS } from './compile.ts';
export type { PresetRow } from './describe.ts';
export { describePreset } from './describe.ts';
export { addressHost, repositoryOf } from './images.ts';
export { isJudgedAtUse } from './in-use.ts';
export { parseHostSpec } from './parse.ts';
export { isRemade } from './remake.ts';
export type { HostSite } from './site.ts';
export type { BindRule, DeviceRule, HostCheck, HostLimits, HostPreset, HostSpec, HostViolation } from './spec.ts';
export { HOST_PRESETS } from './spec.ts';
export { parseSubnet, type Subnet, subnetText } from './subnets.ts';
