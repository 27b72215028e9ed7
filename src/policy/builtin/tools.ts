import type { BuiltInDocument } from '../builtin.ts';
export const TOOLS: readonly BuiltInDocument[] = [];
