// dockerode, verb by verb: prints one JSON line for each, so that two runs can be compared. Arguments: PREFIX.
const { existsSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { PassThrough, Readable } = require('node:stream');
const { execFileSync } = require('node:child_process');
const Docker = require('dockerode');

const prefix = process.argv[2];
const IMAGE = 'busybox:test';
const host = process.env.DOCKER_HOST;
const authorization = process.env.CLIENT_AUTHORIZATION;

function connect() {
  if (host.startsWith('unix://')) return new Docker({ socketPath: host.slice('unix://'.length) });
  const url = new URL(host.replace('tcp://', 'https://'));
  const folder = process.env.DOCKER_CERT_PATH;
  // Its own reading of the environment insists on a client certificate.
  delete process.env.DOCKER_CERT_PATH;
  delete process.env.DOCKER_HOST;
  return new Docker({
    protocol: 'https',
    host: url.hostname,
    port: Number(url.port),
    ca: readFileSync(join(folder, 'ca.pem')),
    ...(existsSync(join(folder, 'cert.pem'))
      ? { cert: readFileSync(join(folder, 'cert.pem')), key: readFileSync(join(folder, 'key.pem')) }
      : {}),
    headers: authorization === undefined ? {} : { Authorization: authorization },
  });
}

const docker = connect();
const started = Math.floor(Date.now() / 1000);

async function tell(name, work) {
  let result;
  try {
    result = await work();
  } catch (error) {
    result = { status: error.statusCode, reason: error.reason, message: error.json?.message ?? String(error.message) };
  }
  console.log(JSON.stringify({ [name]: result ?? null }).replaceAll(prefix, 'PREFIX'));
}

/** All a stream says until it ends. */
const read = (stream) =>
  new Promise((resolve, reject) => {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve(Buffer.concat(chunks)));
    stream.on('error', reject);
  });

/** Output and errors of a multiplexed stream. */
async function demux(stream) {
  const out = new PassThrough();
  const err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  await new Promise((resolve) => stream.on('end', resolve).on('close', resolve));
  out.end();
  err.end();
  return [String(await read(out)), String(await read(err))];
}

const follow = (stream) =>
  new Promise((resolve, reject) =>
    docker.modem.followProgress(stream, (error, all) => (error ? reject(error) : resolve(all))),
  );

async function main() {
  await tell('ping', async () => String(await docker.ping()));
  await tell('version', async () => (await docker.version()).Version);
  await tell('info', async () => (await docker.info()).OSType);
  await tell('run', async () => {
    const out = new PassThrough();
    const said = read(out);
    const [result] = await docker.run(IMAGE, ['sh', '-c', 'echo hello; exit 5'], out, {
      name: `${prefix}-run`,
      HostConfig: { NetworkMode: 'none' },
    });
    out.end();
    return [result.StatusCode, String(await said)];
  });
  const box = await docker.createContainer({
    name: `${prefix}-box`,
    Image: IMAGE,
    Cmd: ['sh', '-c', 'echo ready; exec sleep 300'],
    Env: ['SECRET=x'],
    HostConfig: { NetworkMode: 'none' },
  });
  await tell('start', () => box.start());
  while (!String(await box.logs({ stdout: true })).includes('ready')) await new Promise((go) => setTimeout(go, 50));
  await tell('start twice', () => box.start());
  await tell('inspect', async () => (await box.inspect()).State.Running);
  await tell('list', async () =>
    (await docker.listContainers({ filters: { name: [`${prefix}-box`] } })).map((c) => c.Names[0]),
  );
  await tell('inspect absent', () => docker.getContainer(`${prefix}-absent`).inspect());
  await tell('logs', async () => String((await box.logs({ stdout: true, stderr: true })).subarray(8)));
  await tell('logs follow', async () => {
    const stream = await box.logs({ stdout: true, follow: true });
    const first = await new Promise((resolve) => stream.once('data', resolve));
    stream.destroy();
    return String(first.subarray(8));
  });
  for (const hijack of [false, true]) {
    await tell(`exec, hijack ${hijack}`, async () => {
      const exec = await box.exec({
        Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 3'],
        AttachStdout: true,
        AttachStderr: true,
      });
      const said = await demux(await exec.start({ hijack, stdin: false }));
      return [...said, (await exec.inspect()).ExitCode];
    });
  }
  await tell('exec with standard input', async () => {
    const exec = await box.exec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({ hijack: true, stdin: true });
    stream.end('through standard input\n');
    return demux(stream);
  });
  await tell('attach', async () => {
    const made = await docker.createContainer({
      Image: IMAGE,
      Cmd: ['sh', '-c', 'echo attached'],
      HostConfig: { NetworkMode: 'none' },
    });
    const stream = await made.attach({ stream: true, stdout: true, stderr: true });
    await made.start();
    const said = await demux(stream);
    await made.remove({ force: true });
    return said;
  });
  await tell('attach with hijack and standard input', async () => {
    const made = await docker.createContainer({
      Image: IMAGE,
      Cmd: ['cat'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      HostConfig: { NetworkMode: 'none' },
    });
    const stream = await made.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    await made.start();
    stream.end('through the hijacked connection\n');
    const said = await demux(stream);
    await made.remove({ force: true });
    return said;
  });
  await tell('stats', async () =>
    Object.keys(await box.stats({ stream: false }))
      .sort()
      .slice(0, 3),
  );
  await tell('top', async () => (await box.top()).Processes.map((row) => row.at(-1)));
  await tell('put', async () => {
    const tar = execFileSync('tar', ['-c', '-C', __dirname, 'dockerode.cjs']);
    await box.putArchive(Readable.from([tar]), { path: '/tmp' });
    return (await read(await box.getArchive({ path: '/tmp/dockerode.cjs' }))).length > 1000;
  });
  await tell('get absent file', () => box.getArchive({ path: '/absent' }));
  await tell('resize', () => box.resize({ h: 20, w: 80 }));
  await tell('remove running', () => box.remove());
  await tell('stop', () => box.stop({ t: 0 }));
  await tell('stop twice', () => box.stop({ t: 0 }));
  await tell('wait', () => box.wait());
  await tell('commit', async () => /^sha256:/.test((await box.commit({ repo: `${prefix}-image`, tag: '1' })).Id));
  await tell('image', async () => (await docker.getImage(`${prefix}-image:1`).inspect()).RepoTags);
  const saved = await read(await docker.getImage(`${prefix}-image:1`).get());
  await tell('save', () => saved.length > 1000);
  await tell('load', async () =>
    (await follow(await docker.loadImage(Readable.from([saved])))).map((line) => line.stream),
  );
  await tell('build', async () => {
    const context = execFileSync('sh', [
      '-c',
      'd=$(mktemp -d) && echo "FROM busybox:test" > $d/Dockerfile && tar -c -C $d . && rm -r $d',
    ]);
    const said = await follow(
      await docker.buildImage(Readable.from([context]), {
        t: `${prefix}-built:1`,
        networkmode: 'none',
        labels: { prefix },
      }),
    );
    return said.at(-1).stream;
  });
  await tell('remove images', async () => {
    for (const name of ['image', 'built']) await docker.getImage(`${prefix}-${name}:1`).remove({ force: true });
  });
  await tell('pull', () => docker.pull('127.0.0.1:1/absent:1'));
  await tell('volume', async () => {
    await docker.createVolume({ Name: `${prefix}-v` });
    const { Volumes } = await docker.listVolumes({ filters: { name: [`${prefix}-v`] } });
    await docker.getVolume(`${prefix}-v`).remove();
    return Volumes.map((volume) => volume.Name);
  });
  await tell('network', async () => {
    const network = await docker.createNetwork({ Name: `${prefix}-n`, Internal: true });
    const found = await network.inspect();
    await network.remove();
    return found.Internal;
  });
  await tell('events', async () => {
    const until = Math.floor(Date.now() / 1000);
    const filters = { container: [`${prefix}-box`], event: ['die'] };
    const text = String(await read(await docker.getEvents({ since: started, until: until + 1, filters })));
    return text.includes('"Action":"die"');
  });
  await tell('remove', () => box.remove({ v: true, force: true }));
  await tell('services', () => docker.listServices());
}

// A part that never ends must not look like success.
process.exitCode = 2;
main()
  .finally(async () => {
    for (const { Id } of await docker.listContainers({ all: true, filters: { name: [prefix] } }))
      await docker.getContainer(Id).remove({ force: true });
  })
  .then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
