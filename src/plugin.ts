// What a plugin module may import: the types of admission and engine, and how Docker reads a bind.
export * from './admission/plugin.ts';
export { type ParsedBind, parseBind } from './engine/mounts.ts';
export type { Json, JsonObject, OperationClass, StreamKind } from './engine/types.ts';
