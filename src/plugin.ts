// What a plugin module may import: the types of admission and engine, and how Docker reads a bind.
export * from './admission/plugin.ts';
export { presetViolations } from './admission/preset-check.ts';
export { deny, isLike, listOf, numberOf, objectOf, PASS, textOf } from './admission/reading.ts';
export { type ParsedBind, parseBind } from './engine/mounts.ts';
export type { Json, JsonObject, OperationClass, StreamKind } from './engine/types.ts';
export type { HostSpec, HostViolation } from './policy/host/index.ts';
