// Built-in roles: operator, reader, reviewer, baseline, restricted. None holds a deny rule, so that further policies can add to them.
// `baseline` and `restricted` carry the Kubernetes Pod Security Standards over; see the host presets of the same names.
import type { BuiltInDocument } from '../builtin.ts';

const operator = `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: operator
  description: everything the gateway serves, the host included; for the people who run the engine
  acknowledges: [host-access]
rules:
  - name: everything
    effect: allow
    actions: ["*"]
`;

const reader = `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: reader
  description: looks at everything and touches nothing; sees environment variables and logs, but no files and no secrets
rules:
  - name: engine
    effect: allow
    actions: [system.ping, system.version, system.info, system.events, system.df]
  - name: containers
    effect: allow
    actions: [container.list, container.inspect, container.top, container.logs, container.changes, container.stats, container.exec.inspect]
  - name: objects
    effect: allow
    actions: [image.list, image.inspect, image.history, image.attestations, volume.list, volume.inspect, network.list, network.inspect, plugin.list, plugin.inspect]
  - name: cluster
    effect: allow
    actions: [node.list, node.inspect, service.list, service.inspect, service.logs, task.list, task.inspect, task.logs, secret.list, secret.inspect, config.list]
    redact: [configs.data]
`;

const reviewer = `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: reviewer
  description: reads the audit and changes nothing, of its own tenant alone when it has one; of the engine it sees that it is there
rules:
  - name: engine
    effect: allow
    actions: [system.ping, system.version]
`;

/** What both tenant roles may do besides what the host preset judges. */
const ordinary = `  - name: meta
    effect: allow
    actions: [system.ping, system.version, system.info, system.events, system.df]
  - name: look
    effect: allow
    actions: [container.list, container.inspect, container.top, container.logs, container.changes, container.stats, image.list, image.inspect, image.history, image.attestations, volume.list, volume.inspect, network.list, network.inspect]
  - name: operate
    effect: allow
    actions: [container.stop, container.kill, container.pause, container.rename, container.resize, container.wait, container.remove, container.exec.resize, container.exec.inspect]
  - name: tidy
    effect: allow
    actions: [image.tag, image.remove, volume.remove, network.remove, network.disconnect]
  - name: prune
    description: a tenant's prune takes what is the tenant's own alone; a caller without a tenant would take what belongs to others
    effect: allow
    actions: [container.prune, image.prune, network.prune, volume.prune, build.prune]
    when: ['principal.tenant != ""']
  - name: pull
    description: from docker.io, and from any registry with credentials of one's own
    effect: allow
    actions: [image.pull, image.distribution, system.auth]
    host: { preset: baseline }
`;

const baseline = `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: baseline
  description: ordinary work with containers, images, volumes and networks, and nothing that reaches the host
rules:
${ordinary}  - name: run
    effect: allow
    actions: [container.create, container.start, container.restart, container.unpause, container.attach, container.update, container.exec.create, container.exec.start]
    host: { preset: baseline }
  - name: files
    effect: allow
    actions: [container.archive.stat, container.archive.read, container.archive.write, container.export, image.export]
    host: { preset: baseline }
  - name: make
    effect: allow
    actions: [volume.create, network.create, network.connect, image.commit]
    host: { preset: baseline }
  - name: build
    effect: allow
    actions: [build.run]
    host: { preset: baseline }
  - name: push
    effect: allow
    actions: [image.push]
    resources: ["image/docker.io/*"]
`;

const restricted = `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: restricted
  description: as baseline, but containers run without root, without capabilities and within limits; no builds and no pushes
rules:
${ordinary}  - name: run
    effect: allow
    actions: [container.create, container.start, container.restart, container.unpause, container.attach, container.update, container.exec.create, container.exec.start]
    host: { preset: restricted }
  - name: files
    effect: allow
    actions: [container.archive.stat, container.archive.read, container.archive.write]
    host: { preset: restricted }
  - name: make
    effect: allow
    actions: [volume.create, network.create, network.connect]
    host: { preset: restricted }
`;

export const ROLES: readonly BuiltInDocument[] = [
  { name: 'operator', source: operator },
  { name: 'reader', source: reader },
  { name: 'reviewer', source: reviewer },
  { name: 'baseline', source: baseline },
  { name: 'restricted', source: restricted },
];
