// The stand-in engine as a process of its own, so that a test can kill it: node standin-process.ts SOCKET
import { startStandin } from '../../src/standin/standin.ts';

await startStandin(process.argv[2] as string);
console.log('ready');
