// What a rule allows of builds where it does not say so itself: by its host preset, or everything without one.
import type { HostSpec } from '../host/index.ts';
import type { BuildRules, BuildSpec } from './spec.ts';

const EVERYTHING: BuildRules = Object.freeze({
  entitlements: ['*'],
  networks: ['*'],
  sources: ['*'],
  frontends: ['*'],
  exporters: ['*'],
  tags: ['*'],
  secrets: ['*'],
  ssh: ['*'],
  cache: ['*'],
  contexts: ['*'],
});

/** Nothing that reaches the host: steps in the network containers have, images of the preset's registries, no URL the engine fetches. */
const TENANT: Omit<BuildRules, 'sources'> = {
  entitlements: [],
  networks: ['default', 'none'],
  frontends: ['dockerfile.v0', 'docker.io/docker/dockerfile', 'docker.io/docker/dockerfile-upstream'],
  exporters: ['image', 'docker', 'oci', 'tar', 'local', 'cacheonly'],
  tags: ['*'],
  secrets: ['*'],
  ssh: ['*'],
  cache: ['inline', 'local', 'registry'],
  contexts: ['*'],
};
/** Registries of the presets, where a rule lists none. */
const REGISTRIES: readonly string[] = ['docker.io'];

/** The rules of a block, beside the host block of the same rule. */
export function buildRulesOf(spec: BuildSpec | undefined, host: HostSpec | undefined): BuildRules {
  const preset = host === undefined ? undefined : (host.preset ?? 'baseline');
  const base: BuildRules =
    preset === undefined || preset === 'privileged'
      ? EVERYTHING
      : {
          ...TENANT,
          sources: [
            ...(host?.registries ?? REGISTRIES).map((registry) =>
              registry === '*' ? 'docker-image://*' : `${registry}/*`,
            ),
            // What ADD may fetch from in a classic build, BuildKit may fetch from as well.
            ...(host?.sources ?? []).flatMap((name) => [`https://${name}/*`, `http://${name}/*`]),
          ],
        };
  return Object.freeze({ ...base, ...spec });
}
