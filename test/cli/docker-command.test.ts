// Docker command lines read as the docker CLI reads them: options, operands, and what is refused rather than guessed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerCommand } from '../../src/cli/docker-command.ts';

const one = (...args: string[]) => {
  const parsed = parseDockerCommand(args);
  assert.ok(typeof parsed !== 'string', String(parsed));
  return parsed;
};
const hostConfig = (...args: string[]) => {
  const [request] = one('run', ...args);
  assert.ok(request);
  return (request.body as { HostConfig: Record<string, unknown> }).HostConfig;
};

const TARGETS: [string, string[]][] = [
  ['docker run --name web -d alpine', ['POST /containers/create?name=web', 'POST /containers/web/start']],
  ['docker run alpine', ['POST /containers/create']],
  ['docker -H tcp://a:1 --debug ps -aq', ['GET /containers/json?all=1']],
  ['docker --host=unix:///x container ls', ['GET /containers/json']],
  ['ps', ['GET /containers/json']],
  ['rm -fv a b', ['DELETE /containers/a?force=1&v=1', 'DELETE /containers/b?force=1&v=1']],
  ['cp web:/etc/passwd .', ['GET /containers/web/archive?path=%2Fetc%2Fpasswd']],
  ['cp ./a web:/b', ['PUT /containers/web/archive?path=%2Fb&noOverwriteDirNonDir=true']],
  ['rm a/b', ['DELETE /containers/a/b']],
  ['rm a?force=1', ['DELETE /containers/a%3Fforce%3D1']],
  ['import http://x.test/a.tar repo:1', ['POST /images/create?fromSrc=http%3A%2F%2Fx.test%2Fa.tar&repo=repo&tag=1']],
  ['build https://x.test/repo.git', ['POST /build?dockerfile=Dockerfile&remote=https%3A%2F%2Fx.test%2Frepo.git']],
  [
    'system prune -f',
    [
      'POST /containers/prune',
      'POST /networks/prune',
      'POST /images/prune?filters=%7B%22dangling%22%3A%7B%22true%22%3Atrue%7D%7D',
    ],
  ],
];
for (const [line, expected] of TARGETS) {
  test(`"${line}" is ${expected.length === 1 ? 'one request' : `${expected.length} requests`}`, () => {
    assert.deepEqual(
      one(...line.split(' ')).map(({ method, target }) => `${method} ${target}`),
      expected,
    );
  });
}

test('options end where the command of the container begins', () => {
  const [request] = one('run', 'alpine', '--privileged', '-v', '/:/host');
  assert.deepEqual(request?.body, {
    Image: 'alpine',
    Cmd: ['--privileged', '-v', '/:/host'],
    HostConfig: { NetworkMode: 'default' },
  });
});

const SPELLINGS: [name: string, args: string[], field: string, value: unknown][] = [
  ['a value with =', ['--pid=host', 'a'], 'PidMode', 'host'],
  ['a value apart', ['--pid', 'host', 'a'], 'PidMode', 'host'],
  ['a short cluster with a value', ['-itv/:/host', 'a'], 'Binds', ['/:/host']],
  ['a short value with =', ['-v=/:/host', 'a'], 'Binds', ['/:/host']],
  ['a flag set true', ['--privileged=true', 'a'], 'Privileged', true],
  ['a flag set false', ['--privileged=false', 'a'], 'Privileged', undefined],
  ['a flag given twice, the last wins', ['--privileged', '--privileged=0', 'a'], 'Privileged', undefined],
  ['a size in units of 1024', ['-m', '1.5g', 'a'], 'Memory', 1610612736],
];
for (const [name, args, field, value] of SPELLINGS) {
  test(`${name} is read`, () => assert.deepEqual(hostConfig(...args)[field], value));
}

const REFUSED: [name: string, args: string[], message: RegExp][] = [
  ['nothing', [], /empty/],
  ['docker alone', ['docker'], /empty/],
  ['an unknown command', ['swarm', 'init'], /docker swarm is not known here; .* --request FILE/],
  ['an unknown command of a group', ['container', 'fly'], /docker container fly is not known/],
  ['an inherited name', ['constructor'], /docker constructor is not known/],
  ['an inherited name in a group', ['container', 'toString'], /not known/],
  ['an unknown option', ['run', '--privilegd', 'alpine'], /docker run --privilegd is not known here/],
  ['an inherited option', ['run', '--constructor', 'alpine'], /not known here/],
  ['an unknown short option', ['run', '-Z', 'alpine'], /-Z is not known/],
  ['an unknown option of docker', ['--foo', 'ps'], /docker --foo is not known/],
  ['a missing value', ['run', '-v'], /-v needs a value/],
  ['no image', ['run', '--rm'], /docker run needs at least 1 argument/],
  ['too many operands', ['rename', 'a'], /docker rename needs 2 arguments, got 1/],
  ['a size that is none', ['run', '-m', 'much', 'a'], /--memory "much" is no size/],
  ['a number that is none', ['run', '--pids-limit', 'x', 'a'], /no whole number/],
  ['a port that is none', ['run', '-p', 'http', 'a'], /--publish "http"/],
  ['ranges of two lengths', ['run', '-p', '1-3:5-6', 'a'], /one length/],
  ['a mount key nobody knows', ['run', '--mount', 'type=bind,sorce=/', 'a'], /--mount key "sorce"/],
  ['a seccomp profile that is not there', ['run', '--security-opt', 'seccomp=/no/such', 'a'], /cannot be read/],
  ['a copy between containers', ['cp', 'a:/x', 'b:/y'], /one of this machine/],
  ['detaching what is only created', ['create', '-d', 'a'], /-d is not known/],
];
for (const [name, args, message] of REFUSED) {
  test(`${name} is refused, not guessed`, () => {
    const parsed = parseDockerCommand(args);
    assert.ok(typeof parsed === 'string');
    assert.match(parsed, message);
  });
}
