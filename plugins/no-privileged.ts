// The shortest example of a plugin: no privileged containers, no privileged exec, no namespace of the host.
// Policy presets say the same and more; this shows how a team adds a rule of its own in front of every policy.
import type { AdmissionRequest, JsonObject, Plugin, Verdict } from '../src/plugin.ts';

const HOST_MODES = ['PidMode', 'IpcMode', 'UTSMode', 'NetworkMode', 'UsernsMode', 'CgroupnsMode'] as const;

const object = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

function validate(request: AdmissionRequest): Verdict {
  const body = object(request.body);
  if (body.Privileged === true) {
    return { kind: 'deny', code: 'privileged-denied', message: 'Privileged must be false for docker exec' };
  }
  const host = object(body.HostConfig);
  if (host.Privileged === true) {
    return { kind: 'deny', code: 'privileged-denied', message: 'HostConfig.Privileged must be false' };
  }
  for (const field of HOST_MODES) {
    if (host[field] === 'host') {
      return {
        kind: 'deny',
        code: 'host-namespace-denied',
        message: `HostConfig.${field} must not be "host"`,
      };
    }
  }
  return { kind: 'pass' };
}

export default {
  meta: {
    name: 'no-privileged',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Refuses privileged containers and execs and the namespaces of the host',
  },
  match: { actions: ['container.create', 'container.exec.create'] },
  validate,
} satisfies Plugin;
