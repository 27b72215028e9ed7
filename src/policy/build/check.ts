// Judges what a BuildKit build asks for against the `build:` block of one rule. Pure.
import type { BuildFact, BuildFacts } from '../../engine/types.ts';
import type { HostViolation } from '../host/index.ts';
import { commonGlobs, compileGlobs, compileNames, compileSources, variantsOf } from './patterns.ts';
import type { BuildKey, BuildRules } from './spec.ts';

/** What the rules that match let a build have later on: what is asked for only while it runs. */
export interface BuildGrant {
  /** Globs over BuildKit's identifiers of sources; `*` alone stands for everything. */
  readonly sources: readonly string[];
  /** Globs over identifiers of images a frontend may be, in a `# syntax=` line too; `*` alone stands for all, none for none. */
  readonly frontends: readonly string[];
  /** Steps may use the engine's network of builds. */
  readonly network: boolean;
  readonly secrets: readonly string[];
  readonly ssh: readonly string[];
  readonly contexts: readonly string[];
}

export interface BuildCheck {
  readonly rules: BuildRules;
  readonly grant: BuildGrant;
  (facts: BuildFacts): readonly HostViolation[];
}

type Test = (value: string) => boolean;

const WORDS: Readonly<Record<BuildKey, string>> = {
  entitlements: 'entitlement',
  networks: 'network of a step',
  sources: 'source',
  frontends: 'frontend',
  exporters: 'exporter',
  tags: 'tag',
  secrets: 'secret',
  ssh: 'SSH agent',
  cache: 'cache',
  contexts: 'context',
};

/** Compiles the rules once per policy revision. */
export function compileBuild(rules: BuildRules): BuildCheck {
  const source = compileSources(rules.sources);
  const tests: Readonly<Record<BuildKey, Test>> = {
    entitlements: compileGlobs(rules.entitlements),
    networks: compileGlobs(rules.networks),
    sources: source,
    frontends: compileNames(rules.frontends),
    exporters: compileGlobs(rules.exporters),
    tags: compileNames(rules.tags),
    secrets: compileGlobs(rules.secrets),
    ssh: compileGlobs(rules.ssh),
    cache: cacheTest(rules, source),
    contexts: compileGlobs(rules.contexts),
  };
  const check = (facts: BuildFacts): readonly HostViolation[] => {
    const violations: HostViolation[] = [];
    for (const key of Object.keys(tests) as BuildKey[]) {
      for (const fact of facts[key]) if (!tests[key](fact.value)) violations.push(violation(key, fact, rules));
    }
    return violations;
  };
  return Object.assign(check, { rules, grant: grantOf(rules) });
}

/** An import from a registry fetches, so it must be among the sources as well. */
function cacheTest(rules: BuildRules, source: Test): Test {
  const type = compileGlobs(rules.cache.map((text) => (text.startsWith('registry:') ? 'registry' : text)));
  const named = rules.cache
    .filter((text) => text.startsWith('registry:'))
    .map((text) => text.slice('registry:'.length));
  const anyRegistry = compileGlobs(rules.cache)('registry');
  const name = compileNames(named);
  return (value) => {
    const colon = value.indexOf(':');
    if (colon < 0) return type(value);
    const reference = value.slice(colon + 1);
    return type(value.slice(0, colon)) && (anyRegistry ? source(`docker-image://${reference}`) : name(reference));
  };
}

function violation(key: BuildKey, { at, value }: BuildFact, rules: BuildRules): HostViolation {
  const shown = value.length > 200 ? `${value.slice(0, 197)}...` : value;
  const allowed = rules[key].length === 0 ? 'none' : rules[key].slice(0, 8).join(', ');
  return {
    field: at,
    value: shown,
    message: `${at}: ${WORDS[key]} ${shown} is not among its build.${key} (allowed: ${allowed})`,
  };
}

const NOT_AN_IMAGE = /^[a-z0-9-]+\.v\d+$/;

function frontendImages(frontends: readonly string[]): readonly string[] {
  return frontends.includes('*') ? ['*'] : frontends.filter((name) => !NOT_AN_IMAGE.test(name)).flatMap(variantsOf);
}

function grantOf(rules: BuildRules): BuildGrant {
  return {
    sources: rules.sources.includes('*') ? ['*'] : rules.sources.flatMap(variantsOf),
    frontends: frontendImages(rules.frontends),
    network: compileGlobs(rules.networks)('default'),
    secrets: rules.secrets,
    ssh: rules.ssh,
    contexts: rules.contexts,
  };
}

const union = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])];

/** What two rules that both match let a build have. */
export const bothGrants = (a: BuildGrant, b: BuildGrant): BuildGrant => ({
  sources: a.sources.includes('*') || b.sources.includes('*') ? ['*'] : union(a.sources, b.sources),
  frontends: a.frontends.includes('*') || b.frontends.includes('*') ? ['*'] : union(a.frontends, b.frontends),
  network: a.network || b.network,
  secrets: union(a.secrets, b.secrets),
  ssh: union(a.ssh, b.ssh),
  contexts: union(a.contexts, b.contexts),
});

/** A grant below a ceiling. */
export const narrowedGrant = (grant: BuildGrant, ceiling: BuildGrant): BuildGrant => ({
  sources: commonGlobs(grant.sources, ceiling.sources),
  frontends: commonGlobs(grant.frontends, ceiling.frontends),
  network: grant.network && ceiling.network,
  secrets: commonGlobs(grant.secrets, ceiling.secrets),
  ssh: commonGlobs(grant.ssh, ceiling.ssh),
  contexts: commonGlobs(grant.contexts, ceiling.contexts),
});
