// Secrets in every place a client can put one: how to send each, by a title that says where it stands. None of them is known by its
// shape: what keeps them out of the record is the place.
const q = encodeURIComponent;
const json = (value: unknown): string => q(JSON.stringify(value));
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export interface Planted {
  readonly title: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

type Make = (secret: string) => Omit<Planted, 'title'>;

const CREATE = '/v1.44/containers/create?name=web';
const get = (path: string, headers?: Record<string, string>): Omit<Planted, 'title'> => ({
  method: 'GET',
  path,
  ...(headers === undefined ? {} : { headers }),
});
const post = (path: string, body?: unknown, headers?: Record<string, string>): Omit<Planted, 'title'> => ({
  method: 'POST',
  path,
  ...(body === undefined ? {} : { body }),
  ...(headers === undefined ? {} : { headers }),
});
const create = (more: object): Omit<Planted, 'title'> => post(CREATE, { Image: 'busybox:test', ...more });
const host = (HostConfig: object): Omit<Planted, 'title'> => create({ HostConfig });
const command = (...Cmd: string[]): Omit<Planted, 'title'> => create({ Cmd });
const LIST = '/v1.44/containers/json';

const HEADERS: Readonly<Record<string, Make>> = {
  'a bearer token': (s) => get(LIST, { authorization: `Bearer ${s}` }),
  'a password of Basic': (s) => get(LIST, { authorization: `Basic ${Buffer.from(`ci:${s}`).toString('base64')}` }),
  'an unknown scheme of Authorization': (s) => get(LIST, { authorization: s }),
  'a header for a proxy': (s) => get(LIST, { 'proxy-authorization': `Basic ${s}` }),
  'a cookie': (s) => get(LIST, { cookie: `session=${s}` }),
  'a header of its own': (s) => get(LIST, { 'x-api-key': s, 'x-vault-token': s }),
  'a password for a registry': (s) =>
    post('/v1.44/images/create?fromImage=app&tag=1', undefined, {
      'x-registry-auth': base64({ username: 'ci', password: s }),
    }),
  'an identity token for a registry': (s) =>
    post('/v1.44/images/app/push?tag=1', undefined, { 'x-registry-auth': base64({ identitytoken: s }) }),
  'credentials for the registries of a build': (s) =>
    post('/v1.44/build?t=app', Buffer.alloc(1024), {
      'x-registry-config': base64({ 'r.test': { username: 'ci', password: s } }),
    }),
  'an address in the User-Agent': (s) => get(LIST, { 'user-agent': `git/2 (https://ci:${s}@git.test/a)` }),
  'a password in the User-Agent': (s) => get(LIST, { 'user-agent': `job/1 token=${s}` }),
  'a bare word of the User-Agent': (s) => get(LIST, { 'user-agent': s }),
  'a referrer': (s) => get(LIST, { referer: `https://ci.test/?token=${s}`, 'x-forwarded-for': s }),
};

const QUERIES: Readonly<Record<string, Make>> = {
  'the user of a remote context': (s) => post(`/v1.44/build?remote=${q(`https://ci:${s}@git.test/a.git`)}`),
  'the query of a remote context': (s) => post(`/v1.44/build?remote=${q(`https://git.test/a.tgz?sig=${s}`)}`),
  'the fragment of a remote context': (s) => post(`/v1.44/build?remote=${q(`https://git.test/a.git#token=${s}`)}`),
  'a build argument': (s) => post(`/v1.44/build?buildargs=${json({ NPM: s })}`, Buffer.alloc(1024)),
  'a build argument that is no JSON': (s) => post(`/v1.44/build?buildargs=${q(`NPM=${s}`)}`, Buffer.alloc(1024)),
  'a label of a build': (s) => post(`/v1.44/build?labels=${json({ 'db.password': s })}`, Buffer.alloc(1024)),
  'a cache source with a user': (s) =>
    post(`/v1.44/build?cachefrom=${json([`https://ci:${s}@r.test/a`])}`, Buffer.alloc(1024)),
  'an unknown parameter of a build': (s) => post(`/v1.44/build?t=a&mykey=${s}`, Buffer.alloc(1024)),
  'the source of an import': (s) => post(`/v1.44/images/create?fromSrc=${q(`https://ci:${s}@f.test/a.tar`)}&repo=a`),
  'the query of an import': (s) => post(`/v1.44/images/create?fromSrc=${q(`https://f.test/a.tar?X-Sig=${s}`)}&repo=a`),
  'an instruction of an import': (s) =>
    post(`/v1.44/images/create?fromSrc=-&repo=a&changes=${q(`ENV A=${s}`)}`, Buffer.alloc(1024)),
  'a comment of an import': (s) =>
    post(`/v1.44/images/create?fromSrc=-&repo=a&message=${q(`password ${s}`)}`, Buffer.alloc(1024)),
  'an instruction of a commit': (s) => post(`/v1.44/commit?container=web&repo=a&changes=${q(`ENV A ${s}`)}`),
  'an instruction of a commit in lower case': (s) =>
    post(`/v1.44/commit?container=web&repo=a&changes=${q(`env A=b C=${s}`)}`),
  'a label of a commit': (s) => post(`/v1.44/commit?container=web&repo=a&changes=${q(`LABEL token=${s}`)}`),
  'a comment of a commit': (s) => post(`/v1.44/commit?container=web&repo=a&comment=${q(`secret: ${s}`)}`),
  'a filter by a label': (s) => get(`${LIST}?filters=${json({ label: [`api.key=${s}`] })}`),
  'a filter in its old form': (s) => get(`${LIST}?filters=${json({ label: { [`api.key=${s}`]: true } })}`),
  'an unknown parameter': (s) => get(`${LIST}?access=${s}`),
  'a parameter with a telling name': (s) => get(`${LIST}?api_key=${s}`),
  'a parameter of the version': (s) => get(`/v1.44/version?t=${s}`),
  'a parameter sent twice': (s) => get(`${LIST}?limit=${s}&limit=${s}x`),
  'a number that is none': (s) => post(`/v1.44/containers/web/stop?t=${s}`),
  'the name of a registry to log in to': (s) => post('/v1.44/auth', { serveraddress: `https://ci:${s}@r.test` }),
  'the remote of a plugin': (s) => get(`/v1.44/plugins/privileges?remote=${q(`https://ci:${s}@r.test/p`)}`),
  'an argument of ps': (s) => get(`/v1.44/containers/web/top?ps_args=${q(`--token=${s}`)}`),
};

const PATHS: Readonly<Record<string, Make>> = {
  'an unknown path': (s) => post(`/hooks/${s}`),
  'the query of an unknown path': (s) => get(`/v1.44/nothing?token=${s}`),
  'a path with a user': (s) => get(`/https://ci:${s}@git.test/x`),
  'a path that is not canonical': (s) => get(`/v1.44/containers/../${s}`),
  'a path with bad escapes': (s) => get(`/v1.44/containers/%zz${s}/json`),
  'an unknown method': (s) => ({ method: 'PUT', path: `/v1.44/containers/json/${s}` }),
  'an unknown version': (s) => get(`/v9.99/containers/${s}/token`),
  'an image named by an address': (s) => get(`/v1.44/images/ci:${s}@r.test/app/json`),
  'an assignment as a name': (s) => post(`/v1.44/containers/password=${s}/start`),
  'an archive path': (s) => get(`/v1.44/containers/web/archive?path=${q(`/run/token=${s}`)}`),
};

const BODIES: Readonly<Record<string, Make>> = {
  'a variable': (s) => create({ Env: [`A=${s}`] }),
  'a variable with a newline': (s) => create({ Env: [`A=b\n${s}`] }),
  'a variable without a name': (s) => create({ Env: [`=${s}`] }),
  'a variable that is no assignment': (s) => create({ Env: [s] }),
  'an unknown field': (s) => create({ Future: s }),
  'an unknown field, nested': (s) => create({ Future: [{ Deep: { er: [s] } }] }),
  'an unknown key': (s) => create({ Future: { [`token=${s}`]: 1 } }),
  'a telling label': (s) => create({ Labels: { 'db-password': s } }),
  'a label that holds variables': (s) => create({ Labels: { 'com.docker.compose.env': `A=${s}` } }),
  'a label with assignments': (s) => create({ Labels: { note: `X=1 DB_URL=${s}` } }),
  'a label that holds JSON': (s) =>
    create({ Labels: { 'devcontainer.metadata': JSON.stringify([{ containerEnv: { A: s } }]) } }),
  'a label that holds users': (s) => create({ Labels: { 'traefik.http.middlewares.a.basicauth.users': `ci:${s}` } }),
  'a label with an address': (s) => create({ Labels: { repo: `https://ci:${s}@git.test/a` } }),
  'a flag of a command': (s) => command('run', '--password', s),
  'a flag with its value': (s) => command('run', `--api-token=${s}`),
  'a shell command': (s) => command('sh', '-c', `DB_PASSWORD=${s} run`),
  'an exported variable': (s) => command('sh', '-c', `export PGPASSWORD='${s}'; psql`),
  'a user of curl': (s) => command('curl', '-u', `ci:${s}`, 'https://x.test'),
  'a header of curl': (s) => command('curl', '-H', `Authorization: Bearer ${s}`),
  'a password of mysql': (s) => command('mysql', '-uroot', `-p${s}`),
  'a password of redis': (s) => command('redis-cli', '-a', s, 'ping'),
  'a password of sshpass': (s) => command('sshpass', '-p', s, 'ssh', 'x'),
  'a password of docker login': (s) => command('docker', 'login', '-u', 'ci', '-p', s),
  'an address in a command': (s) => command('git', 'clone', `https://ci:${s}@git.test/a`),
  'an entrypoint': (s) => create({ Entrypoint: ['run', '--secret', s] }),
  'a health check': (s) => create({ Healthcheck: { Test: ['CMD', 'curl', '-u', `ci:${s}`, 'x'] } }),
  'an option of a log driver': (s) => host({ LogConfig: { Type: 'splunk', Config: { 'splunk-token': s } } }),
  'an address of a log driver': (s) =>
    host({ LogConfig: { Type: 'gelf', Config: { 'gelf-address': `tcp://ci:${s}@x.test` } } }),
  'variables of a log driver': (s) => host({ LogConfig: { Type: 'json-file', Config: { env: `A=${s}` } } }),
  'an option of a volume': (s) =>
    post('/v1.44/volumes/create', {
      Name: 'v',
      DriverOpts: { type: 'cifs', o: `username=a,password=${s}`, device: '//h/s' },
    }),
  'a short option of a volume': (s) =>
    post('/v1.44/volumes/create', { Name: 'v', DriverOpts: { o: `user=a,pass=${s}` } }),
  'a credential of a volume': (s) =>
    post('/v1.44/volumes/create', { Name: 'v', Driver: 'x', DriverOpts: { secretkey: s } }),
  'an option of a mount': (s) =>
    host({
      Mounts: [
        {
          Type: 'volume',
          Target: '/a',
          VolumeOptions: { DriverConfig: { Name: 'x', Options: { o: `password=${s}` } } },
        },
      ],
    }),
  'an option of a network': (s) => post('/v1.44/networks/create', { Name: 'n', Options: { 'com.x.password': s } }),
  'an option of an end point': (s) =>
    create({ NetworkingConfig: { EndpointsConfig: { n: { DriverOpts: { secret: s } } } } }),
  'an annotation': (s) => host({ Annotations: { 'io.x.token': s } }),
  'a security option': (s) => host({ SecurityOpt: [`label=password:${s}`] }),
  'a profile': (s) => host({ SecurityOpt: [`seccomp={"defaultAction":"${s}"}`] }),
  'a variable of an exec': (s) => post('/v1.44/containers/web/exec', { Cmd: ['env'], Env: [`A=${s}`] }),
  'a flag of an exec': (s) => post('/v1.44/containers/web/exec', { Cmd: ['login', '--token', s] }),
  'a password to log in with': (s) => post('/v1.44/auth', { username: 'ci', password: s, serveraddress: 'r.test' }),
  'an auth to log in with': (s) => post('/v1.44/auth', { auth: s, serveraddress: 'r.test' }),
  'a secret of the swarm': (s) => post('/v1.44/secrets/create', { Name: 's', Data: Buffer.from(s).toString('base64') }),
  'a secret of the swarm as text': (s) => post('/v1.44/secrets/create', { Name: 's', Data: s }),
  'a config of the swarm': (s) => post('/v1.44/configs/create', { Name: 'c', Data: s }),
  'a join token': (s) => post('/v1.44/swarm/join', { JoinToken: s, RemoteAddrs: ['10.0.0.1'] }),
  'an unlock key': (s) => post('/v1.44/swarm/unlock', { UnlockKey: s }),
  'a key of an authority': (s) => post('/v1.44/swarm/init', { Spec: { CAConfig: { SigningCAKey: s } } }),
  'a variable of a service': (s) =>
    post('/v1.44/services/create', { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'a', Env: [`A=${s}`] } } }),
  'an argument of a service': (s) =>
    post('/v1.44/services/create', {
      Name: 's',
      TaskTemplate: { ContainerSpec: { Image: 'a', Args: ['--key', '--secret-key', s] } },
    }),
  'a setting of a plugin': (s) => post('/v1.44/plugins/p/set', [`KEY=${s}`]),
  'text that is no JSON': (s) => post(CREATE, `{"Image": ${s}`, { 'content-type': 'application/json' }),
  'a number that is none': (s) => host({ Memory: s }),
  'a key sent twice': (s) => post(CREATE, `{"Image":"a","Image":"${s}"}`, { 'content-type': 'application/json' }),
  'a type that is wrong': (s) => create({ Env: { A: s } }),
  'a very long body': (s) => create({ Env: Array.from({ length: 4000 }, (_, i) => `V${i}=${s}`) }),
};

/** Calls of the gateway's own routes, by callers it does not know. */
const OWN: Readonly<Record<string, Make>> = {
  'a path of the admin API': (s) => get(`/dockgate/v1/tokens/${s}`),
  'a query of the admin API': (s) => get(`/dockgate/v1/audit?text=${s}`),
  'a token of the admin API': (s) => get('/dockgate/v1/status', { authorization: `Bearer ${s}` }),
  'a client of the admin API': (s) => get('/dockgate/v1/status', { 'user-agent': `job token=${s}` }),
  'a credential to refresh': (s) =>
    post('/token', `grant_type=refresh_token&refresh_token=dockgate_${s}`, {
      'content-type': 'application/x-www-form-urlencoded',
    }),
  'a token to exchange': (s) =>
    post('/token', `grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=${s}`, {
      'content-type': 'application/x-www-form-urlencoded',
    }),
  'an unknown grant': (s) => post('/token', `grant_type=${s}`, { 'content-type': 'application/x-www-form-urlencoded' }),
};

/** All of them. @param secretOf the secret of the n-th, without letters that a table would know */
export const planted = (secretOf: (index: number) => string): readonly (Planted & { readonly secret: string })[] =>
  Object.entries({
    ...prefixed('header', HEADERS),
    ...prefixed('query', QUERIES),
    ...prefixed('path', PATHS),
    ...prefixed('body', BODIES),
    ...prefixed('own', OWN),
  }).map(([title, make], i) => {
    const secret = secretOf(i);
    return { title, secret, ...make(secret) };
  });

const prefixed = (kind: string, makes: Readonly<Record<string, Make>>): Record<string, Make> =>
  Object.fromEntries(Object.entries(makes).map(([title, make]) => [`${kind}: ${title}`, make]));
