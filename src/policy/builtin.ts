// The policies that come with the program, as documents in the same form as an operator's.
// Roles for people and tenants are in builtin/roles.ts, presets for widespread tools in builtin/tools.ts.
import { ROLES } from './builtin/roles.ts';
import { TOOLS } from './builtin/tools.ts';

export interface BuiltInDocument {
  readonly name: string;
  /** YAML. */
  readonly source: string;
}

export const BUILT_IN_DOCUMENTS: readonly BuiltInDocument[] = [...ROLES, ...TOOLS];
