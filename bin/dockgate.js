#!/usr/bin/env node
// Starts the command line. Written in syntax that old Node versions can read, so that they are told off in a sentence
// before anything is loaded: the SQLite driver would crash their process.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`dockgate needs Node 22.18 or newer, this is Node ${process.versions.node}\n`);
  process.exit(1);
}
import('node:fs')
  .then((fs) => {
    // A checkout runs from source, the published package from its bundle.
    const source = new URL('../src/cli/main.ts', import.meta.url);
    return import(fs.existsSync(source) ? source.href : new URL('../dist/cli.js', import.meta.url).href);
  })
  .then((cli) => cli.main(process.argv.slice(2)))
  .catch((error) => {
    process.stderr.write(`dockgate: cannot start: ${error.message}\n`);
    process.exitCode = 1;
  });
