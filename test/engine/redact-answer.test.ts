// What is taken out of answers, field by field, beside what stays.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExact } from '../../src/engine/exact-json.ts';
import { answerRedactor, faultOfRedaction, REDACTED } from '../../src/engine/redact-answer.ts';

const CASES: readonly [name: string, parts: readonly string[], answer: unknown, shown: unknown][] = [
  [
    'values of variables in inspect of a container',
    ['env'],
    { Config: { Env: ['A=1', 'B=x=y', 'C'], Image: 'a' } },
    { Config: { Env: [`A=${REDACTED}`, `B=${REDACTED}`, 'C'], Image: 'a' } },
  ],
  [
    'values of variables of a service, now and before',
    ['env'],
    {
      Spec: { TaskTemplate: { ContainerSpec: { Env: ['A=1'] } } },
      PreviousSpec: { TaskTemplate: { ContainerSpec: { Env: ['A=0'] } } },
    },
    {
      Spec: { TaskTemplate: { ContainerSpec: { Env: [`A=${REDACTED}`] } } },
      PreviousSpec: { TaskTemplate: { ContainerSpec: { Env: [`A=${REDACTED}`] } } },
    },
  ],
  [
    'variables of a plugin, whose settings are objects',
    ['env'],
    { Settings: { Env: ['A=1'] }, Config: { Env: [{ Name: 'A', Value: '1', Settable: ['value'] }] } },
    { Settings: { Env: [`A=${REDACTED}`] }, Config: { Env: [{ Name: 'A', Value: REDACTED, Settable: ['value'] }] } },
  ],
  [
    'instructions of an image history that hold values',
    ['env'],
    [
      { CreatedBy: '/bin/sh -c #(nop)  ENV A=1' },
      { CreatedBy: '|1 TOKEN=x /bin/sh -c make' },
      { CreatedBy: 'RUN make' },
    ],
    [{ CreatedBy: REDACTED }, { CreatedBy: REDACTED }, { CreatedBy: 'RUN make' }],
  ],
  [
    'build arguments in the history of an image BuildKit made',
    ['env'],
    [{ CreatedBy: 'RUN |1 TOKEN=x /bin/sh -c make # buildkit' }, { CreatedBy: 'RUN /bin/sh -c a | b # buildkit' }],
    [{ CreatedBy: REDACTED }, { CreatedBy: 'RUN /bin/sh -c a | b # buildkit' }],
  ],
  [
    'what ps shows of environments',
    ['env'],
    { Titles: ['PID', 'COMMAND'], Processes: [['1', 'sleep 300 TOKEN=x']] },
    { Titles: ['PID', 'COMMAND'], Processes: [[REDACTED, REDACTED]] },
  ],
  [
    'command lines in top, exec inspect and health checks',
    ['command'],
    {
      Titles: ['PID', 'CMD'],
      Processes: [['1', 'mysql -psecret']],
      ProcessConfig: { tty: false, entrypoint: 'mysql', arguments: ['-psecret'] },
      Path: 'mysql',
      Config: { Image: 'a', Healthcheck: { Test: ['CMD', 'mysql', '-psecret'], Retries: 3 } },
    },
    {
      Titles: ['PID', 'CMD'],
      Processes: [[REDACTED, REDACTED]],
      ProcessConfig: { tty: false, entrypoint: REDACTED, arguments: [REDACTED] },
      Path: REDACTED,
      Config: { Image: 'a', Healthcheck: { Test: [REDACTED, REDACTED, REDACTED], Retries: 3 } },
    },
  ],
  [
    'processes stay where nothing of theirs is taken out',
    ['health.log'],
    { Titles: ['PID'], Processes: [['1']] },
    { Titles: ['PID'], Processes: [['1']] },
  ],
  [
    'addresses of a network across the swarm',
    ['networks'],
    {
      Peers: [{ Name: 'n', IP: '10.0.0.1' }],
      Services: { web: { VIP: '10.0.1.2', Tasks: [{ EndpointIP: '10.0.1.3' }] } },
    },
    { Peers: [], Services: { web: { VIP: REDACTED, Tasks: [{ EndpointIP: REDACTED }] } } },
  ],
  [
    'labels in the history of an image',
    ['labels:com.secret.*'],
    [{ CreatedBy: 'LABEL com.secret.a=b' }, { CreatedBy: 'RUN make' }],
    [{ CreatedBy: REDACTED }, { CreatedBy: 'RUN make' }],
  ],
  [
    'places on the host, not names of volumes',
    ['mounts.source'],
    {
      LogPath: '/var/lib/docker/x.log',
      GraphDriver: { Name: 'overlay2', Data: { UpperDir: '/var/lib/docker/overlay2/x' } },
      HostConfig: { Binds: ['/srv/a:/a:ro', 'data:/data'], Mounts: [{ Type: 'bind', Source: '/srv/b', Target: '/b' }] },
      Mounts: [{ Type: 'volume', Name: 'data', Source: '/var/lib/docker/volumes/data/_data', Destination: '/data' }],
    },
    {
      LogPath: REDACTED,
      GraphDriver: { Name: 'overlay2', Data: null },
      HostConfig: {
        Binds: [`${REDACTED}:/a:ro`, 'data:/data'],
        Mounts: [{ Type: 'bind', Source: REDACTED, Target: '/b' }],
      },
      Mounts: [{ Type: 'volume', Name: 'data', Source: REDACTED, Destination: '/data' }],
    },
  ],
  [
    'output of health checks',
    ['health.log'],
    { State: { Status: 'running', Health: { Status: 'healthy', Log: [{ Output: 'secret' }] } } },
    { State: { Status: 'running', Health: { Status: 'healthy', Log: [] } } },
  ],
  [
    'addresses',
    ['networks'],
    {
      NetworkSettings: {
        SandboxKey: '/var/run/x',
        Ports: { '80/tcp': null },
        Networks: { a: { NetworkID: 'n', IPAddress: '10.0.0.2', MacAddress: 'x' } },
      },
    },
    {
      NetworkSettings: {
        Ports: { '80/tcp': null },
        Networks: { a: { NetworkID: 'n', IPAddress: '', Gateway: '', MacAddress: '' } },
      },
    },
  ],
  [
    'command lines, in events too',
    ['command'],
    [
      { Command: 'sh -c x', Args: ['-c', 'x'] },
      { Action: 'exec_create: sh -c x', Actor: { Attributes: { execCommand: 'sh' } } },
      { Action: 'start' },
    ],
    [
      { Command: REDACTED, Args: [REDACTED, REDACTED] },
      { Action: 'exec_create', Actor: { Attributes: { execCommand: REDACTED } } },
      { Action: 'start' },
    ],
  ],
  [
    'labels by pattern, in events too',
    ['labels:com.secret.*'],
    {
      Config: { Labels: { 'com.secret.a': '1', 'com.secrets': '2' } },
      Actor: { Attributes: { 'com.secret.a': '1', image: 'a' } },
    },
    { Config: { Labels: { 'com.secrets': '2' } }, Actor: { Attributes: { image: 'a' } } },
  ],
  [
    'tokens to join a swarm',
    ['swarm.tokens'],
    { JoinTokens: { Worker: 'a', Manager: 'b' } },
    { JoinTokens: { Worker: REDACTED, Manager: REDACTED } },
  ],
  [
    'values of variables in what an image was made by, under every name',
    ['env'],
    {
      ContainerConfig: { Cmd: ['/bin/sh', '-c', '#(nop) ENV PASSWD=hunter2'], Image: 'a' },
      Config: { OnBuild: ['ENV A=1', 'arg B=2', 'RUN x'], Cmd: ['sh'], Entrypoint: ['env', 'A=1', 'run'] },
      Path: '|1',
      Args: ['TOKEN=x', '/bin/sh', '-c', 'make'],
      Command: '|1 TOKEN=x /bin/sh -c make',
    },
    {
      ContainerConfig: { Cmd: [REDACTED, REDACTED, REDACTED], Image: 'a' },
      Config: { OnBuild: [REDACTED, REDACTED, 'RUN x'], Cmd: ['sh'], Entrypoint: ['env', `A=${REDACTED}`, 'run'] },
      Path: '|1',
      Args: [`TOKEN=${REDACTED}`, '/bin/sh', '-c', 'make'],
      Command: REDACTED,
    },
  ],
  [
    'build arguments in front of a command',
    ['env'],
    { ContainerConfig: { Cmd: ['|2', 'A=1', 'B=2', '/bin/sh', '-c', 'x'] } },
    { ContainerConfig: { Cmd: [REDACTED, REDACTED, REDACTED, REDACTED, REDACTED, REDACTED] } },
  ],
  ['commands of triggers', ['command'], { Config: { OnBuild: ['RUN secret'] } }, { Config: { OnBuild: [REDACTED] } }],
  [
    'labels where instructions quote them',
    ['labels:secret.*'],
    { ContainerConfig: { Cmd: ['/bin/sh', '-c', '#(nop)  LABEL secret.a=1'] }, OnBuild: ['LABEL secret.a=1', 'RUN x'] },
    { ContainerConfig: { Cmd: ['/bin/sh', '-c', REDACTED] }, OnBuild: [REDACTED, 'RUN x'] },
  ],
  [
    'what configs of a swarm hold, in lists too',
    ['configs.data'],
    { ID: 'c', Spec: { Name: 'n', Data: 'c2VjcmV0' } },
    { ID: 'c', Spec: { Name: 'n', Data: REDACTED } },
  ],
  [
    'nothing where nothing is named',
    ['env'],
    { Env: null, Config: { Image: 'a' } },
    { Env: null, Config: { Image: 'a' } },
  ],
];

for (const [name, parts, answer, shown] of CASES) {
  test(`answerRedactor() takes out ${name}`, () => assert.deepEqual(answerRedactor(parts)(answer), shown));
}

test('answerRedactor() leaves every number as the engine wrote it', () => {
  const answer =
    '{"time":1795576358,"timeNano":1795576358382064470,"Env":["A=1"],"HostConfig":{"Memory":9223372036854775807,' +
    '"CpuShares":-9223372036854775808,"Ratio":[1.0,1e3,-0,0.1,-1.50,1E+2,0,18446744073709551615]},"n":{"9007199254740993":0}}';
  const shown = JSON.stringify(answerRedactor(['env'])(parseExact(answer)));
  assert.equal(shown, answer.replace('A=1', `A=${REDACTED}`));
});

test('answerRedactor() takes out numbers kept as they were written, and what looks like one', () => {
  const answer =
    '{"Data":{"x":1795576358382064470},"Mountpoint":1e3,"Labels":{"com.secret.a":"1.0","b":"{\\"rawJSON\\":\\"1.0\\"}"}}';
  const shown = answerRedactor(['mounts.source', 'labels:com.secret.*'])(parseExact(answer));
  assert.equal(
    JSON.stringify(shown),
    `{"Data":null,"Mountpoint":"${REDACTED}","Labels":{"b":"{\\"rawJSON\\":\\"1.0\\"}"}}`,
  );
  // A field named as the kept numbers are is a field.
  const named = answerRedactor(['env'])(parseExact('{"rawJSON":"1.0","Env":["A=1"],"n":1.0}'));
  assert.equal(JSON.stringify(named), `{"rawJSON":"1.0","Env":["A=${REDACTED}"],"n":1.0}`);
});

test('answerRedactor() shows nothing below the depth it looks through', () => {
  let deep: unknown = { Env: ['A=1'] };
  for (let i = 0; i < 100; i++) deep = { inner: deep };
  assert.doesNotMatch(JSON.stringify(answerRedactor(['env'])(deep)), /A=1/);
});

test('faultOfRedaction() knows the parts and says what is wrong with others', () => {
  assert.equal(faultOfRedaction('env'), undefined);
  assert.equal(faultOfRedaction('labels:a.*'), undefined);
  assert.match(faultOfRedaction('labels:') ?? '', /needs a pattern/);
  assert.match(faultOfRedaction('toString') ?? '', /unknown part/);
});
