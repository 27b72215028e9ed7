// Our reading of docker command lines against the docker CLI's own: both are asked, and must send the same.
// Skipped, loudly, where there is no docker CLI.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseDockerCommand } from '../../src/cli/docker-command.ts';

interface Sent {
  readonly method: string;
  readonly target: string;
  readonly body: unknown;
}

const dir = mkdtempSync(join(tmpdir(), 'dockgate-docker-'));
const socket = join(dir, 'engine.sock');
const hasDocker = spawnSync('docker', ['--version']).status === 0;
if (!hasDocker) console.log('SKIPPED: no docker CLI here, command lines are not compared with its own');
writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\n');
writeFileSync(join(dir, 'seccomp.json'), '{ "defaultAction": "SCMP_ACT_ALLOW" }');

let sent: Sent[] = [];
const server = http.createServer((request, response) => {
  const chunks: Uint8Array[] = [];
  request.on('data', (chunk: Uint8Array) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString();
    const target = (request.url ?? '').replace(/^\/v1\.\d+/, '');
    const json =
      request.headers['content-type']?.startsWith('application/json') && text !== ''
        ? (JSON.parse(text) as unknown)
        : undefined;
    if (target !== '/_ping') sent.push({ method: request.method ?? '', target, body: json });
    const answer = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json', 'api-version': '1.51', ostype: 'linux' });
      response.end(request.method === 'HEAD' ? undefined : JSON.stringify(value));
    };
    if (target === '/_ping') return answer(200, 'OK');
    if (/^\/(containers|volumes|networks)\/create|\/exec$|^\/commit/.test(target))
      return answer(201, { Id: 'f00', Name: 'f00', Warnings: [] });
    if (
      request.method === 'DELETE' ||
      /\/(start|stop|kill|restart|pause|unpause|rename|connect|disconnect|tag)(\?|$)/.test(target)
    )
      return answer(204, {});
    if (target.includes('/prune')) return answer(200, { SpaceReclaimed: 0 });
    if (target === '/containers/web/json')
      return answer(200, { Id: 'web', Config: { OpenStdin: true }, HostConfig: {}, State: { Running: true } });
    return answer(404, { message: 'nothing here' });
  });
});
before(() => new Promise<void>((resolve) => server.listen(socket, resolve)));
after(async () => {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  rmSync(dir, { recursive: true });
});

const dockerSends = (args: readonly string[]): Promise<Sent[]> => {
  sent = [];
  return new Promise((resolve, reject) => {
    const child = spawn('docker', args, {
      cwd: dir,
      env: {
        PATH: process.env.PATH ?? '',
        HOME: dir,
        DOCKER_HOST: `unix://${socket}`,
        DOCKER_BUILDKIT: '0',
        DOCKER_CLI_HINTS: 'false',
      },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    child.on('error', reject);
    child.on('close', () => resolve(sent));
  });
};

/** Values the docker CLI writes although nobody asked: what the engine would take anyway. */
const UNASKED: Readonly<Record<string, (value: unknown) => boolean>> = {
  MemorySwappiness: (value) => value === -1,
  RestartPolicy: (value) => JSON.stringify(value) === '{"Name":"no"}',
  AttachStdin: () => true,
  AttachStdout: () => true,
  AttachStderr: () => true,
  StdinOnce: () => true,
  ConsoleSize: () => true,
  NetworkingConfig: (value) =>
    ['{"EndpointsConfig":{"default":{}}}', '{"EndpointsConfig":{}}'].includes(JSON.stringify(value)),
  EndpointConfig: (value) => JSON.stringify(value) === '{}',
  CheckDuplicate: () => true,
  DetachKeys: () => true,
  IPAM: (value) => JSON.stringify(value) === '{"Driver":"default"}',
  Scope: (value) => value === '',
};

/** Without empty values and without what nobody asked for. Unmasked paths are empty lists that mean something. */
const meant = (value: unknown): unknown => {
  // The docker CLI keeps variables and binds in maps: their order is chance.
  if (Array.isArray(value) && value.every((item) => typeof item === 'string' && /[=:]/.test(item)))
    return [...value].sort();
  if (Array.isArray(value)) return value.map(meant);
  if (typeof value !== 'object' || value === null) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const clean = meant(inner);
    const isEmpty =
      clean === null || clean === '' || clean === 0 || clean === false || (Array.isArray(clean) && clean.length === 0);
    if (isEmpty && key !== 'MaskedPaths' && key !== 'ReadonlyPaths') continue;
    if ((key === 'MaskedPaths' || key === 'ReadonlyPaths') && inner === null) continue;
    if (
      typeof clean === 'object' &&
      clean !== null &&
      !Array.isArray(clean) &&
      Object.keys(clean).length === 0 &&
      !/^\d+\/|^\//.test(key) &&
      key !== 'EndpointsConfig' &&
      !KEEP_EMPTY.has(key)
    )
      continue;
    if (UNASKED[key]?.(clean)) continue;
    kept[key] = clean;
  }
  return kept;
};
const KEEP_EMPTY = new Set(['net1', 'net2', 'default']);

const queryOf = (target: string): [string, string][] =>
  [...new URL(`http://x${target}`).searchParams]
    .filter(
      ([name, value]) =>
        !['buildid', 'session', 'version', 'rm'].includes(name) &&
        !['0', '', '{}', '[]', 'null', 'false'].includes(value),
    )
    .sort();

const RUN: readonly string[] = [
  'alpine',
  '--name web -it --rm alpine sh -c "echo hi"',
  '--privileged alpine',
  '-v /:/host alpine',
  '-v /srv/ci:/data:ro -v cache:/cache -v /anonymous alpine',
  '-v ./here:/x alpine',
  '--mount type=bind,source=/,target=/host,readonly alpine',
  '--mount type=bind,src=/a,dst=/b,bind-propagation=rshared,bind-recursive=disabled alpine',
  '--mount type=volume,src=v,dst=/v,volume-driver=local,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc,volume-label=a=b,volume-nocopy alpine',
  '--mount \'type=volume,dst=/v,"volume-opt=o=addr=1.2.3.4,rw"\' alpine',
  '--mount type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770 alpine',
  '--mount dst=/v,volume-subpath=a/b alpine',
  '--tmpfs /run:rw,size=1m --tmpfs /tmp alpine',
  '--pid host alpine',
  '--pid=container:web --ipc container:web --network container:web alpine',
  '--ipc host --uts host --userns host --cgroupns host --cgroup-parent /x alpine',
  '--net host alpine',
  '--network none alpine',
  '--network net1 --network-alias a --ip 10.0.0.2 alpine',
  '--network net1 --network net2 alpine',
  '--network name=net1,alias=x,ip=10.0.0.3,driver-opt=a=b --mac-address 02:42:ac:11:00:02 alpine',
  '--network bridge alpine',
  '--network-alias x --network net1 --network name=net2,alias=y alpine',
  '--cap-add ALL --cap-drop all alpine',
  '--cap-add SYS_ADMIN --cap-drop SYS_ADMIN alpine',
  '--cap-add SYS_ADMIN --cap-add=net_raw --cap-drop ALL alpine',
  '--security-opt no-new-privileges --security-opt apparmor=unconfined --security-opt seccomp=unconfined alpine',
  '--security-opt seccomp=seccomp.json --security-opt label=disable alpine',
  '--security-opt systempaths=unconfined alpine',
  '--device /dev/sda --device /dev/kvm:/dev/x:r --device /dev/fuse:rwm --device-cgroup-rule "c 1:3 mr" alpine',
  '--gpus all alpine',
  '--gpus 2 alpine',
  '--gpus device=0 alpine',
  '-p 80 -p 8080:80 -p 127.0.0.1:8443:443/udp -p [::1]:53:53 alpine',
  '-p 7000-7002:8000-8002 -p 9000-9005:90 alpine',
  '-p 127.0.0.1::99 -P --expose 77 --expose 78/udp alpine',
  '-m 512m --memory-swap 1g --memory-reservation 256m --cpus 1.5 --cpu-shares 512 --pids-limit 100 --shm-size 64m alpine',
  '--memory-swap -1 --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-period 1000 --cpu-quota 5000 --oom-score-adj 100 --oom-kill-disable -m 6m alpine',
  '--blkio-weight 300 --device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:100 alpine',
  '-e A=1 -e B=two=2 --env C= --label x=y -l z alpine',
  '-u 1000:1000 -w /work -h host1 --domainname d --entrypoint /bin/sh --stop-signal SIGINT --stop-timeout 5 alpine -c true',
  '--restart on-failure:3 --init --read-only --runtime runc alpine',
  '--restart always alpine',
  '--ulimit nofile=1024:2048 --ulimit core=0 --sysctl net.ipv4.ip_forward=1 --storage-opt size=10G alpine',
  '--log-driver syslog --log-opt syslog-address=tcp://1.2.3.4:1 alpine',
  '--dns 1.1.1.1 --dns-search a.test --dns-option ndots:1 --add-host db:10.0.0.5 alpine',
  '--volumes-from web:ro --link web:w --group-add 0 --volume-driver nfs alpine',
  '--health-cmd "curl x" --health-interval 1m30s --health-retries 3 --health-timeout 500ms alpine',
  '--no-healthcheck --annotation a=b --isolation default alpine',
  '--privileged=false --rm=true alpine',
  '-- alpine --privileged',
];

const OTHERS: readonly string[] = [
  'exec -i -u root --privileged -w / -e A=1 web sh -c id',
  'exec -d web true',
  'ps -a --filter status=running',
  'start web',
  'stop -t 3 web db',
  'kill -s HUP web',
  'restart web',
  'rm -fv web',
  'pause web',
  'rename web web2',
  'pull alpine',
  'pull registry.test:5000/a/b:1.2',
  'rmi -f alpine',
  'tag alpine registry.test/a:1',
  'tag alpine mine',
  'pull me/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  'push registry.test/a:1',
  'network create --attachable --ipv6 -d overlay n2',
  'cp web:/etc/hosts out',
  'inspect web',
  'container ls',
  'image ls',
  'volume ls --filter dangling=true',
  'system events --since 1 --until 2',
  'attach web',
  'stats --no-stream web',
  'image inspect alpine',
  'container prune -f --filter until=1h',
  'image prune -af',
  'volume prune -f',
  'volume prune -af',
  'image prune -f',
  'system prune -f --volumes',
  'update --cpuset-cpus 0 --memory 64m --memory-swap -1 web',
  'network connect --link web:x --driver-opt a=b n web',
  'build --network host -t x --build-arg A=1 --add-host a:1.2.3.4 .',
  'volume create v -d local -o type=none -o o=bind -o device=/ --label a=b',
  'volume rm v',
  'network create n --driver bridge --internal --subnet 10.9.0.0/16 --gateway 10.9.0.1 -o com.docker.network.bridge.name=br9 --label a=b',
  'network connect --alias a --ip 10.0.0.9 n web',
  'network disconnect -f n web',
  'network rm n',
  'update --memory 64m --cpus 0.5 --restart no --pids-limit 5 web',
  'images -a',
  'info',
  'system df',
  'events --since 1 --until 2 --filter type=container',
  'diff web',
  'wait web',
  'commit -m msg web repo:tag',
  'export web',
  'save alpine',
  'history alpine',
  'logs --tail 5 web',
  'top web aux',
];

/** Words of a line, quotes understood. */
const split = (line: string): string[] =>
  [...line.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)].map(([word]) =>
    word.replace(
      /'([^']*)'|(?<!')"([^"]*)"(?![^']*')/g,
      (_all, single: string | undefined, double: string | undefined) => single ?? double ?? '',
    ),
  );

for (const line of [...RUN.map((options) => `create ${options}`), ...OTHERS]) {
  test(`docker ${line}`, { skip: !hasDocker }, async () => {
    const words = split(line);
    const cwd = process.cwd();
    process.chdir(dir);
    const ours = parseDockerCommand(words);
    process.chdir(cwd);
    assert.ok(typeof ours !== 'string', String(ours));
    const theirs = await dockerSends(words);
    for (const request of ours) {
      const path = request.target.split('?')[0];
      const match = theirs.find((other) => other.method === request.method && other.target.split('?')[0] === path);
      assert.ok(
        match,
        `the docker CLI sent ${theirs.map((other) => `${other.method} ${other.target}`).join(', ') || 'nothing'}, not ${request.method} ${request.target}`,
      );
      assert.deepEqual(queryOf(request.target), queryOf(match.target));
      assert.deepEqual(meant(request.body), meant(match.body));
    }
  });
}
