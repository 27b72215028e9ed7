// testcontainers, as a test suite uses it: prints one JSON line for each part. It finds the engine by DOCKER_HOST alone and
// can present no header. Arguments: PREFIX.
const { GenericContainer, Network, Wait } = require('testcontainers');

const prefix = process.argv[2];
const tell = (name, result) => console.log(JSON.stringify({ [name]: result ?? null }).replaceAll(prefix, 'PREFIX'));

async function main() {
  const container = await new GenericContainer('busybox:test')
    .withName(`${prefix}-box`)
    .withNetworkMode('none')
    .withEnvironment({ GREETING: 'hello' })
    .withLabels({ [prefix]: 'yes' })
    .withCommand(['sh', '-c', 'echo ready to go; exec sleep 300'])
    .withWaitStrategy(Wait.forLogMessage('ready to go'))
    .withCopyContentToContainer([{ content: 'copied in', target: '/tmp/in.txt' }])
    .start();
  tell('name', container.getName().replace(/^\//, ''));
  const ran = await container.exec(['sh', '-c', 'echo $GREETING; cat /tmp/in.txt; exit 3']);
  tell('exec', [ran.output, ran.exitCode]);
  const archive = await container.copyArchiveFromContainer('/tmp/in.txt');
  let bytes = 0;
  for await (const chunk of archive) bytes += chunk.length;
  tell('archive', bytes > 0);
  await container.restart({ timeout: 0 });
  tell('restarted', (await container.exec(['true'])).exitCode);
  await container.stop({ timeout: 0 });
  const network = await new Network().start();
  await network.stop();
  tell('network', true);
  const failed = await new GenericContainer('busybox:test')
    .withName(`${prefix}-ends`)
    .withNetworkMode('none')
    .withCommand(['sh', '-c', 'echo over; exit 7'])
    .withWaitStrategy(Wait.forOneShotStartup())
    .start()
    .then(
      () => 'started',
      (error) => error.message.replace(/[0-9a-f]{64}/g, 'ID'),
    );
  tell('one shot', failed);
}

// A part that never ends must not look like success.
process.exitCode = 2;
main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
