// testcontainers of one tenant beside another's: makes a container that is to be used again, one in a network, and a compose
// project, prints what it made and what it sees, waits for a line, and cleans up. Arguments: FOLDER FILE PROJECT.
const {
  DockerComposeEnvironment,
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  Wait,
} = require('testcontainers');

const [folder, file, project] = process.argv.slice(2);
const box = () =>
  new GenericContainer('busybox:test')
    .withLabels({ suite: project })
    .withCommand(['sh', '-c', 'echo ready to go; exec sleep 300'])
    .withWaitStrategy(Wait.forLogMessage('ready to go'));

async function main() {
  const reusable = () => box().withNetworkMode('none').withReuse().start();
  const network = await new Network().start();
  const [first, inNetwork, environment] = await Promise.all([
    reusable(),
    box().withNetwork(network).withNetworkAliases('db').start(),
    new DockerComposeEnvironment(folder, file).withProjectName(project).up(),
  ]);
  // Found by a hash of its settings, which is the same for both tenants.
  const again = await reusable();
  const { container } = await getContainerRuntimeClient();
  const seen = (await container.list()).map(({ Id }) => Id);
  const made = [first.getId(), inNetwork.getId()];
  const byHash = await container.fetchByLabel('suite', project);
  const pinged = await inNetwork.exec(['ping', '-c1', '-w5', 'db']);
  const foundOwn = byHash !== undefined && made.includes(byHash.id);
  const reached = [again.getId() === first.getId(), foundOwn, pinged.exitCode];
  console.log(JSON.stringify({ made, seen, network: network.getId(), reached }));
  await new Promise((resolve) => process.stdin.once('data', resolve));
  await environment.down({ timeout: 0, removeVolumes: true });
  await Promise.all([first.stop({ timeout: 0 }), inNetwork.stop({ timeout: 0 })]);
  await network.stop();
  console.log(JSON.stringify({ left: (await container.list()).length }));
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
