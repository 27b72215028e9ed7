// A short plugin: no privileged containers, no privileged exec, no namespace of the host and no capability beyond the usual ones, in
// containers, services and builds, by whatever name. The checks are those of the host presets; this shows how a team puts some
// of them in front of every policy.
import { type AdmissionRequest, type Plugin, presetViolations, type Verdict } from '../src/plugin.ts';

interface Settings {
  /** Capabilities that may be added beyond the usual ones. */
  readonly capabilities: readonly string[];
}

/** Fields of which the presets' word counts here; what else they say is left to policies. */
const PRIVILEGES =
  /^(?:HostConfig\.)?Privileged$|(?:^|\.)(?:CapAdd|CapabilityAdd)(?:\[|$)|^HostConfig\.(?:PidMode|IpcMode|UTSMode|UsernsMode|CgroupnsMode)$/;
/** A network is judged by what is said of it: the host's is one of several things that may be wrong. */
const HOST_NETWORK = /joins the network of the host|NetworkMode is "host"|networkmode is "(?:host|container:)/i;
/** A container that is joined, by the first of what is wrong with it. */
const JOINED =
  /which this rule would not make: .*?(?:HostConfig\.(?:Privileged|PidMode|IpcMode|UTSMode|UsernsMode|NetworkMode|CapAdd)|Networks) /;

function settings(input: unknown): Settings {
  const { capabilities = [], ...rest } = (typeof input === 'object' && input !== null ? input : {}) as Record<
    string,
    unknown
  >;
  for (const key of Object.keys(rest)) throw new Error(`unknown setting ${key}; known: capabilities`);
  if (!Array.isArray(capabilities) || !capabilities.every((name) => typeof name === 'string')) {
    throw new Error('capabilities must be a list of names, such as [NET_ADMIN]');
  }
  return { capabilities };
}

function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const spec = {
    preset: 'baseline',
    ...(config.capabilities?.length > 0 ? { capabilities: config.capabilities } : {}),
  } as const;
  for (const { field, message } of presetViolations(request, spec)) {
    const isPrivilege = /Privileged|Cap/.test(field);
    if (PRIVILEGES.test(field) || HOST_NETWORK.test(message) || JOINED.test(message)) {
      return { kind: 'deny', code: isPrivilege ? 'privileged-denied' : 'host-namespace-denied', message };
    }
  }
  return { kind: 'pass' };
}

export default {
  meta: {
    name: 'no-privileged',
    version: '1.1.0',
    apiVersion: 1,
    description:
      'Refuses privileged containers and execs, capabilities beyond the usual ones and the namespaces of the host',
  },
  match: {
    actions: [
      ...['container.create', 'container.exec.create', 'network.connect', 'service.create', 'service.update'],
      'build.run',
    ],
    objects: true,
  },
  config: { parse: settings },
  validate,
} satisfies Plugin<Settings>;
