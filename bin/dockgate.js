#!/usr/bin/env node
// Starts the command line; on a Node too old for the SQLite driver, which would crash the process, on another Node. Written in
// syntax that old Node versions can read, so that they are told so in a sentence.
const [major, minor] = process.versions.node.split('.').map(Number);
const start =
  major > 22 || (major === 22 && minor >= 18)
    ? import('node:fs')
        .then((fs) => {
          // A checkout runs from source, the published package from its bundle.
          const source = new URL('../src/cli/main.ts', import.meta.url);
          return import(fs.existsSync(source) ? source.href : new URL('../dist/cli.js', import.meta.url).href);
        })
        .then((cli) => cli.main(process.argv.slice(2)))
    : import('./newer-node.js').then((other) => other.runOn(other.newerNode(), process.argv.slice(1)));
start.catch((error) => {
  process.stderr.write(`dockgate: ${major >= 22 ? 'cannot start: ' : ''}${error.message}\n`);
  process.exitCode = 1;
});
