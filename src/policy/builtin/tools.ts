// Presets for widespread tools: what each needs of the Engine API and no more, with its own tests. Where a tool can also
// do more (shells, prunes, BuildKit's own protocol), the description names the calls left out and why.
// A preset is a starting point: `dockgate policy show NAME` prints it, to be copied under another name and widened.
import type { BuiltInDocument } from '../builtin.ts';

interface Preset {
  readonly name: string;
  readonly description: string;
  /** YAML list items. */
  readonly rules: string;
  /** One line each: `allow|deny METHOD PATH`, then the body as JSON, if any, and `WITH` how the container `web` is made. */
  readonly tests: readonly string[];
}

const META = '- { name: meta, effect: allow, actions: [system.ping, system.version] }';
const META_INFO = '- { name: meta, effect: allow, actions: [system.ping, system.version, system.info] }';
const PLAIN = '{"Image":"busybox","HostConfig":{"NetworkMode":"none"}}';
const PRIVILEGED = '{"Image":"busybox","HostConfig":{"Privileged":true}}';
const ROOT_BIND = '{"Image":"busybox","HostConfig":{"Binds":["/:/host"]}}';
const SOCKET_BIND = '{"Image":"busybox","HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}';
/** What every tool that runs containers must be refused. */
const NO_HOST = [
  `deny POST /containers/create?name=x ${PRIVILEGED}`,
  `deny POST /containers/create?name=x ${ROOT_BIND}`,
  `deny POST /containers/create?name=x ${SOCKET_BIND}`,
  'deny POST /containers/prune',
  'deny GET /swarm',
];
/** What every tool that only looks must be refused. */
const NO_TOUCH = [
  `deny POST /containers/create?name=x ${PLAIN}`,
  'deny POST /containers/web/stop',
  'deny DELETE /containers/web',
  'deny POST /containers/web/exec {"Cmd":["sh"]}',
  'deny GET /containers/web/archive?path=/etc',
];

/** How a container `web` is taken away before it is made again. */
const RECREATE = [
  'POST /containers/web/stop?t=10',
  'POST /containers/web/kill?signal=SIGTERM',
  'POST /containers/web/rename?name=web-old',
  'DELETE /containers/web?force=1&v=1',
];

/** The filters by which testcontainers' JVM hook removes what its session made. */
const REAPED = encodeURIComponent('{"label":["org.testcontainers=true","org.testcontainers.sessionId=d0c4"]}');

/** Prunes of a tenant: they take what is its own alone. */
const ownPrunes = (...kinds: string[]): string =>
  `- { name: prune, effect: allow, actions: [${kinds.map((kind) => `${kind}.prune`).join(', ')}], when: ['principal.tenant != ""'] }`;

const PRESETS: readonly Preset[] = [
  {
    name: 'traefik',
    description: 'Traefik with the Docker or Swarm provider; looks only',
    rules: `
${META}
- { name: look, effect: allow, actions: [container.list, container.inspect, system.events] }
- { name: swarm, effect: allow, actions: [system.info, service.list, task.list, node.list, network.list, network.inspect] }`,
    tests: [
      'allow GET /version',
      'allow GET /containers/json?all=1',
      'allow GET /containers/web/json',
      'allow GET /events?filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D',
      'allow GET /services',
      'deny GET /containers/web/logs?stdout=1',
      ...NO_TOUCH,
    ],
  },
  {
    name: 'dozzle',
    description: 'Dozzle, a viewer of logs; looks only, without its actions and its shell',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.stats, system.events] }`,
    tests: [
      'allow GET /info',
      'allow GET /containers/web/logs?follow=1&stdout=1&stderr=1',
      'allow GET /containers/web/stats?stream=1',
      'allow GET /events',
      'deny POST /containers/web/attach?stream=1&stdin=1',
      ...NO_TOUCH,
    ],
  },
  {
    name: 'diun',
    description: 'Diun, which tells of new images; looks only and asks the registries itself',
    rules: `
${META}
- { name: look, effect: allow, actions: [container.list, container.inspect, image.inspect, service.list] }`,
    tests: [
      'allow GET /containers/json',
      'allow GET /images/busybox/json',
      'allow GET /services',
      'deny POST /images/create?fromImage=busybox&tag=latest',
      'deny GET /distribution/busybox/json',
      ...NO_TOUCH,
    ],
  },
  {
    name: 'homepage',
    description: 'Homepage, a dashboard; looks only',
    rules: `
${META}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.stats] }
- { name: swarm, effect: allow, actions: [service.list, service.inspect, task.list] }`,
    tests: [
      'allow GET /containers/json?all=true',
      'allow GET /containers/web/stats?stream=false',
      'allow GET /tasks',
      'deny GET /containers/web/logs?stdout=1',
      'deny GET /info',
      ...NO_TOUCH,
    ],
  },
  {
    name: 'ctop',
    description: 'ctop, a terminal monitor; looks only, without starting, stopping and its shell',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.stats, container.logs, system.events] }`,
    tests: [
      'allow GET /info',
      'allow GET /containers/web/stats',
      'allow GET /containers/web/logs?stdout=1',
      ...NO_TOUCH,
    ],
  },
  {
    name: 'portainer-readonly',
    description: 'the pages of Portainer that only look; an administrator of the engine needs operator',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.stats, container.top, container.changes, system.events, system.df] }
- { name: objects, effect: allow, actions: [image.list, image.inspect, image.history, volume.list, volume.inspect, network.list, network.inspect, plugin.list] }
- { name: cluster, effect: allow, actions: [node.list, node.inspect, service.list, service.inspect, service.logs, task.list, task.inspect, task.logs] }
- { name: swarm, effect: allow, actions: [swarm.inspect], redact: [swarm.tokens] }`,
    tests: [
      'allow GET /info',
      'allow GET /images/json?all=0',
      'allow GET /images/sha256:3f57d9401f8d42f986df300f0c69192fc41da28ccc8d797829467780db3dd741/json',
      'allow GET /images/busybox/history',
      'allow GET /volumes?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D',
      'allow GET /volumes/data',
      'allow GET /networks',
      'allow GET /networks/bridge?verbose=true',
      'allow GET /containers/web/logs?stdout=1&stderr=1&tail=100',
      'allow GET /containers/web/stats?stream=false',
      'allow GET /containers/web/top?ps_args=aux',
      'allow GET /events?since=1&until=2',
      'allow GET /system/df',
      'allow GET /plugins',
      'allow GET /tasks',
      'allow GET /services/web',
      'allow GET /swarm',
      'deny GET /secrets',
      'deny GET /configs/x',
      'deny GET /plugins/privileges?remote=x',
      'deny POST /containers/web/attach?stream=1&stdin=1',
      'deny DELETE /images/busybox',
      ...NO_TOUCH,
    ],
  },
  {
    name: 'watchtower',
    description:
      'Watchtower, which replaces containers by newer ones. What it may not make again (bind mounts, privileges) it may not stop, rename or remove either: to have such containers updated, copy this preset and name their paths under host.binds in each rule that has remakes',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, image.inspect] }
- { name: replace, effect: allow, actions: [container.create, container.start, container.update, network.connect], host: { preset: baseline, remakes: true } }
- { name: end, effect: allow, actions: [container.stop, container.kill, container.rename, container.remove, network.disconnect], host: { preset: baseline, remakes: true } }
- { name: images, effect: allow, actions: [image.pull, image.remove], resources: ["image/*"] }
- { name: hooks, effect: allow, actions: [container.exec.create, container.exec.start, container.exec.inspect], host: { preset: baseline, remakes: true } }`,
    tests: [
      'allow GET /info',
      'allow GET /containers/json?filters=%7B%22status%22%3A%5B%22running%22%5D%7D&limit=0',
      'allow GET /images/busybox:latest/json',
      'allow POST /images/create?fromImage=busybox&tag=latest',
      ...RECREATE.map((line) => `allow ${line} WITH ${PLAIN}`),
      ...RECREATE.map((line) => `deny ${line} WITH ${ROOT_BIND}`),
      `allow POST /containers/create?name=web ${PLAIN}`,
      'deny DELETE /containers/web?force=1',
      `allow POST /containers/web/exec {"Cmd":["/pre-update"]} WITH ${PLAIN}`,
      `deny POST /containers/web/exec {"Cmd":["/pre-update"]} WITH ${PRIVILEGED}`,
      'deny POST /images/create?fromSrc=-&repo=x',
      'deny POST /build',
      ...NO_HOST,
    ],
  },
  {
    name: 'jenkins-workflow',
    description:
      'Jenkins Docker Pipeline over the docker CLI, with the usual workspace folders as bind mounts, each as itself alone: a link a job makes in one would lead its next container anywhere on the host. Jenkins in a container shares them by --volumes-from; where it mounts single workspaces, copy this preset with {path, subpaths: true} for jobs trusted with the host. Builds with BuildKit fetch images of docker.io alone: name others under build.sources',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.top, container.logs, container.exec.inspect, image.list, image.inspect] }
- name: run
  effect: allow
  actions: [container.create, container.start, container.attach, container.exec.create, container.exec.start]
  host: { preset: baseline, binds: [/var/jenkins_home/workspace, /var/lib/jenkins/workspace] }
- { name: end, effect: allow, actions: [container.stop, container.kill, container.wait, container.resize, container.exec.resize, container.remove] }
- { name: build, effect: allow, actions: [build.run], host: { preset: baseline } }
- { name: images, effect: allow, actions: [image.pull, image.push, image.tag, image.remove, image.distribution, system.auth] }`,
    tests: [
      'allow GET /version',
      'allow DELETE /images/app:1',
      `allow POST /containers/create {"Image":"busybox","HostConfig":{"ContainerIDFile":"/tmp/cid"}}`,
      `allow POST /containers/create ${PLAIN}`,
      'allow POST /containers/create {"Image":"busybox","HostConfig":{"Binds":["/var/jenkins_home/workspace:/w"]}}',
      'deny POST /containers/create {"Image":"busybox","HostConfig":{"Binds":["/var/jenkins_home/workspace/job:/w"]}}',
      'allow POST /containers/create {"Image":"busybox","HostConfig":{"VolumesFrom":["jenkins"]}}',
      'deny POST /containers/create {"Image":"busybox","HostConfig":{"Binds":["/var/jenkins_home/secrets:/w"]}}',
      'allow POST /containers/c/exec {"Cmd":["ps"]}',
      'deny POST /containers/c/exec {"Cmd":["ps"],"Privileged":true}',
      'allow POST /containers/c/stop?t=1',
      'allow DELETE /containers/c?force=1&v=1',
      'allow POST /build?t=app:1',
      'deny POST /build?t=app:1&networkmode=host',
      'allow POST /grpc {"tags":["docker.io/library/app:1"],"exporters":["image"],"frontends":["dockerfile.v0"]}',
      'deny POST /grpc {"entitlements":["network.host"]}',
      ...NO_HOST,
    ],
  },
  {
    name: 'jenkins-docker-plugin',
    description: 'the Jenkins Docker plugin: agents as containers',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.exec.inspect, image.list, image.inspect] }
- { name: run, effect: allow, actions: [container.create, container.start, container.attach, container.exec.create, container.exec.start], host: { preset: baseline } }
- { name: copy, effect: allow, actions: [container.archive.write, container.archive.stat], host: { preset: baseline } }
- { name: end, effect: allow, actions: [container.stop, container.kill, container.wait, container.remove, image.remove] }
- { name: build, effect: allow, actions: [build.run, image.commit], host: { preset: baseline } }
- { name: images, effect: allow, actions: [image.pull, image.push, image.tag, system.auth] }`,
    tests: [
      'allow GET /version',
      'allow GET /info',
      'allow POST /auth {"username":"u","password":"p","serveraddress":"https://registry.example.com"}',
      'allow POST /containers/c/kill?signal=KILL',
      'allow POST /containers/c/exec {"AttachStdout":true,"Cmd":["sh","-c","id"],"Privileged":null}',
      'deny POST /containers/c/exec {"Cmd":["java"],"Privileged":true}',
      `allow POST /containers/create ${PLAIN}`,
      'allow POST /containers/c/exec {"Cmd":["java"]}',
      'allow PUT /containers/c/archive?path=/home',
      'allow GET /containers/c/logs?stdout=1',
      'allow POST /images/x/push?tag=1',
      'deny GET /containers/c/archive?path=/home',
      'deny POST /volumes/create {"Name":"v"}',
      ...NO_HOST,
    ],
  },
  {
    name: 'gitlab-runner',
    description:
      'GitLab Runner with the Docker executor, without privileged jobs; the helper image is pulled rather than loaded',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.exec.inspect, image.inspect, network.list, network.inspect, volume.list, volume.inspect] }
- { name: run, effect: allow, actions: [container.create, container.start, container.attach, container.exec.create, container.exec.start], host: { preset: baseline } }
- { name: copy, effect: allow, actions: [container.archive.write, container.archive.stat], host: { preset: baseline } }
- { name: operate, effect: allow, actions: [container.stop, container.kill, container.wait, container.resize, container.exec.resize, container.remove] }
- { name: make, effect: allow, actions: [network.create, volume.create], host: { preset: baseline } }
- { name: tidy, effect: allow, actions: [network.disconnect, network.remove, volume.remove] }
- { name: images, effect: allow, actions: [image.pull, image.tag] }`,
    tests: [
      'allow GET /info',
      'allow POST /images/create?fromImage=registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper&tag=x86_64-latest',
      `allow POST /containers/create?name=runner-1 ${PLAIN}`,
      'allow POST /containers/c/attach?stream=1&stdin=1&stdout=1&stderr=1',
      'allow PUT /containers/c/archive?path=/',
      'deny GET /containers/c/archive?path=/etc',
      'allow POST /networks/create {"Name":"runner-net"}',
      'deny POST /networks/create {"Name":"runner-net","Driver":"macvlan"}',
      'allow POST /volumes/create {"Name":"cache"}',
      'deny POST /volumes/create {"Name":"cache","DriverOpts":{"type":"none","o":"bind","device":"/"}}',
      'deny POST /images/load',
      'deny POST /build?t=x',
      ...NO_HOST,
    ],
  },
  {
    name: 'testcontainers',
    description:
      'Testcontainers in any language. Its reaper Ryuk mounts the engine socket: load the plugin socket-substitute, or set TESTCONTAINERS_RYUK_DISABLED=true',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.stats, container.exec.inspect, image.list, image.inspect, network.list, network.inspect, volume.list, volume.inspect] }
- { name: run, effect: allow, actions: [container.create, container.start, container.attach, container.restart, container.unpause, container.exec.create, container.exec.start], host: { preset: baseline } }
- { name: copy, effect: allow, actions: [container.archive.write, container.archive.read, container.archive.stat], host: { preset: baseline } }
- { name: operate, effect: allow, actions: [container.stop, container.kill, container.pause, container.wait, container.remove] }
- { name: make, effect: allow, actions: [network.create, network.connect, volume.create, image.commit], host: { preset: baseline } }
- { name: tidy, effect: allow, actions: [network.disconnect, network.remove, volume.remove, image.remove, image.tag] }
- { name: build, effect: allow, actions: [build.run], host: { preset: baseline } }
- { name: pull, effect: allow, actions: [image.pull, image.distribution, system.auth] }
${ownPrunes('container', 'network', 'volume', 'image')}
- name: reap
  description: without a tenant, only what carries the label of a session, as the reaper of the JVM asks for it
  effect: allow
  actions: [container.prune, network.prune, volume.prune, image.prune]
  when: ['"filters" in query && glob(query["filters"][0], "{\\"label\\":{*\\"org.testcontainers.sessionId=*")']`,
    tests: [
      'allow GET /info',
      `allow POST /containers/prune?filters=${REAPED}`,
      `allow POST /networks/prune?filters=${REAPED}`,
      `allow POST /volumes/prune?filters=${REAPED}`,
      `allow POST /images/prune?filters=${REAPED}`,
      'deny POST /volumes/prune?filters=%7B%22label%22%3A%5B%22app%3Dx%22%5D%7D',
      'allow GET /images/postgres:16/json',
      'allow POST /containers/create {"Image":"postgres:16","ExposedPorts":{"5432/tcp":{}},"HostConfig":{"PortBindings":{"5432/tcp":[{"HostIp":"","HostPort":""}]}}}',
      'allow PUT /containers/c/archive?path=/',
      'allow POST /containers/c/stop?t=0',
      'allow DELETE /containers/c?force=true&v=true',
      'deny POST /containers/c/exec {"Cmd":["sh"],"Privileged":true}',
      'deny POST /images/load',
      ...NO_HOST,
    ],
  },
  {
    name: 'compose',
    description:
      'docker compose: up, down, ps, logs, exec, run, cp, commit, export. Services that mount host paths need a copy of this preset with host.binds; builds fetch images of docker.io alone, others are named under build.sources',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.top, container.stats, container.exec.inspect, image.list, image.inspect, network.list, network.inspect, volume.list, volume.inspect, system.events] }
- { name: run, effect: allow, actions: [container.create, container.start, container.attach, container.restart, container.unpause, container.exec.create, container.exec.start], host: { preset: baseline, mountTypes: [image] } }
- { name: copy, effect: allow, actions: [container.archive.write, container.archive.read, container.archive.stat, container.export], host: { preset: baseline } }
- { name: operate, effect: allow, actions: [container.stop, container.kill, container.pause, container.rename, container.resize, container.exec.resize, container.wait, container.remove] }
- { name: make, effect: allow, actions: [network.create, network.connect, volume.create, image.commit], host: { preset: baseline } }
- { name: tidy, effect: allow, actions: [network.disconnect, network.remove, volume.remove, image.remove] }
- { name: build, effect: allow, actions: [build.run], host: { preset: baseline } }
- { name: pull, effect: allow, actions: [image.pull, image.push, image.tag, image.distribution, system.auth] }`,
    tests: [
      'allow GET /containers/json?all=1&filters=%7B%22label%22%3A%7B%22com.docker.compose.project%3Dp%22%3Atrue%7D%7D',
      'allow POST /networks/create {"Name":"p_default","Driver":"bridge"}',
      'allow POST /volumes/create {"Name":"p_data"}',
      'allow POST /containers/create?name=p-web-1 {"Image":"nginx","HostConfig":{"NetworkMode":"p_default","Binds":["p_data:/data:rw"]}}',
      'allow POST /containers/create?name=p-web-1 {"Image":"nginx","HostConfig":{"Mounts":[{"Type":"image","Source":"busybox","Target":"/i"}]}}',
      'allow POST /commit?container=p-web-1&repo=web&tag=1',
      'allow GET /containers/p-web-1/export',
      'allow POST /containers/p-web-1/start',
      'allow GET /events',
      'allow DELETE /networks/p_default',
      'allow DELETE /volumes/p_data?force=1',
      'deny POST /networks/create {"Name":"p_default","Driver":"ipvlan"}',
      'deny POST /networks/prune',
      ...NO_HOST,
    ],
  },
  {
    name: 'docker-py',
    description: 'scripts with the Python SDK that run containers and work with images',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.top, container.stats, container.changes, container.exec.inspect, image.list, image.inspect, image.history, image.export, network.list, network.inspect, volume.list, volume.inspect] }
- { name: run, effect: allow, actions: [container.create, container.start, container.attach, container.restart, container.unpause, container.update, container.exec.create, container.exec.start], host: { preset: baseline } }
- { name: copy, effect: allow, actions: [container.archive.write, container.archive.read, container.archive.stat, container.export], host: { preset: baseline } }
- { name: operate, effect: allow, actions: [container.stop, container.kill, container.pause, container.rename, container.resize, container.exec.resize, container.wait, container.remove] }
- { name: make, effect: allow, actions: [network.create, network.connect, volume.create, image.commit], host: { preset: baseline } }
- { name: tidy, effect: allow, actions: [network.disconnect, network.remove, volume.remove, image.remove, image.tag] }
- { name: build, effect: allow, actions: [build.run], host: { preset: baseline } }
- { name: pull, effect: allow, actions: [image.pull, image.push, image.distribution, system.auth] }
${ownPrunes('container', 'network', 'volume', 'image')}`,
    tests: [
      `allow POST /containers/create ${PLAIN}`,
      'allow POST /containers/c/wait',
      'allow GET /containers/c/logs?follow=1&stdout=1',
      'allow DELETE /containers/c',
      'allow POST /images/create?fromImage=busybox&tag=latest',
      'allow POST /build?t=x&rm=True',
      'deny POST /build?t=x&networkmode=host',
      'deny POST /images/load',
      ...NO_HOST,
    ],
  },
  {
    name: 'ci-build',
    description:
      'builds, tags, pulls and pushes images, and runs nothing else. Builds with BuildKit fetch images of docker.io alone: copy this preset and name others under build.sources',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [image.list, image.inspect, image.history] }
- { name: build, effect: allow, actions: [build.run, build.cancel], host: { preset: baseline } }
- { name: images, effect: allow, actions: [image.pull, image.push, image.tag, image.remove, image.distribution, system.auth] }`,
    tests: [
      'allow POST /build?t=registry.example.com/app:1',
      'deny POST /build?t=app:1&networkmode=host',
      'deny POST /build?t=app:1&remote=http%3A%2F%2F192.0.2.1%2Fx.tar',
      'allow POST /images/registry.example.com/app/push?tag=1',
      'allow POST /images/create?fromImage=busybox&tag=latest',
      'allow POST /session',
      'allow POST /grpc {"tags":["registry.example.com/app:1"],"exporters":["image"],"sources":["docker-image://docker.io/library/node:20"]}',
      'deny POST /grpc {"tags":["registry.example.com/app:1"],"entitlements":["network.host"]}',
      'deny POST /grpc {"sources":["http://192.0.2.1/x.tar"]}',
      `deny POST /containers/create?name=x ${PLAIN}`,
      'deny GET /containers/json',
    ],
  },
  {
    name: 'lazydocker',
    description:
      'lazydocker, a terminal manager. Its prunes are for tenants, whose own objects they take; without a tenant they would take away what belongs to others',
    rules: `
${META_INFO}
- { name: look, effect: allow, actions: [container.list, container.inspect, container.logs, container.stats, container.top, image.list, image.inspect, image.history, volume.list, volume.inspect, network.list, network.inspect, system.events] }
- { name: start, effect: allow, actions: [container.start, container.restart, container.unpause], host: { preset: baseline } }
- { name: operate, effect: allow, actions: [container.stop, container.pause, container.remove, image.remove, volume.remove, network.remove] }
${ownPrunes('container', 'network', 'volume', 'image')}`,
    tests: [
      'allow GET /containers/c/top',
      'allow POST /containers/c/start',
      'deny POST /containers/c/start?checkpoint=x&checkpoint-dir=/etc',
      'allow POST /containers/c/restart',
      'allow DELETE /images/busybox',
      'deny POST /images/prune',
      'deny POST /volumes/prune',
      `deny POST /containers/create?name=x ${PLAIN}`,
      'deny POST /containers/c/exec {"Cmd":["sh"]}',
    ],
  },
];

export const TOOLS: readonly BuiltInDocument[] = PRESETS.map((preset) => ({
  name: preset.name,
  source: sourceOf(preset),
}));

function sourceOf({ name, description, rules, tests }: Preset): string {
  const indented = rules
    .trim()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
  return `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: ${name}
  description: ${JSON.stringify(description)}
rules:
${indented}
tests:
${tests.map(testOf).join('\n')}
`;
}

/** One test a line, in YAML's flow form, which JSON is a part of. */
function testOf(line: string): string {
  const [asked = '', made] = line.split(' WITH ');
  const [expect = '', method = '', path = '', ...rest] = asked.split(' ');
  const body = rest.join(' ');
  const objects = made === undefined ? '' : `objects: [{ resource: container/web, body: ${made} }], `;
  const request = `method: ${method}, path: ${JSON.stringify(path)}${body === '' ? '' : `, body: ${body}`}`;
  return `  - { name: ${JSON.stringify(line.slice(0, 180))}, request: { ${request} }, ${objects}expect: ${expect} }`;
}
