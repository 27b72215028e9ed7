// The typed check of a BuildKit build against the rules of a policy.
export type { BuildCheck, BuildGrant } from './check.ts';
export { bothGrants, compileBuild, narrowedGrant } from './check.ts';
export { commonGlobs, escapeExpression, matchesGlob, sourceExpression } from './patterns.ts';
export { buildRulesOf } from './presets.ts';
export { readBuild } from './read.ts';
export type { BuildKey, BuildRules, BuildSpec } from './spec.ts';
export { BUILD_KEYS } from './spec.ts';
