// testcontainers with its reaper: makes a container, prints its id and the reaper's session, and ends without a word. What it leaves is
// the reaper's to remove.
const { GenericContainer, getContainerRuntimeClient, Wait } = require('testcontainers');
const { getReaper } = require('testcontainers/build/reaper/reaper.js');

async function main() {
  const box = await new GenericContainer('busybox:test')
    .withNetworkMode('none')
    .withCommand(['sh', '-c', 'echo ready to go; exec sleep 300'])
    .withWaitStrategy(Wait.forLogMessage('ready to go'))
    .start();
  const reaper = await getReaper(await getContainerRuntimeClient());
  console.log(JSON.stringify({ box: box.getId(), session: reaper.sessionId, reaper: reaper.containerId }));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
