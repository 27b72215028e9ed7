// Run by npm after every change of node_modules (script `dependencies`), in whatever Node runs npm: no imports but Node's own.
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

// What npm does not copy into the lock from the manifest of better-sqlite3, or what is not so here:
// - `gypfile: false`: its binaries come with it. npm 10, not told so, takes binding.gyp for a wish to compile, which needs
//   Python, make and a compiler.
// - no `engines`, of amaro neither: they need Node 22, and get the Node of scripts/runtime; npm would compare with the Node it runs on itself.
const before = readFileSync('package-lock.json', 'utf8');
const lock = JSON.parse(before);
const driver = lock.packages['node_modules/better-sqlite3'];
driver.gypfile = false;
for (const name of ['better-sqlite3', 'amaro']) delete lock.packages[`node_modules/${name}`]?.engines;
const after = `${JSON.stringify(lock, null, 2)}\n`;
if (after !== before) writeFileSync('package-lock.json', after);

// npm 10 takes the link `node` away together with the binaries of other platforms, which all have one of that name.
const binaries = readdirSync('node_modules').filter((name) => /^node-(bin-)?(linux|darwin)-/.test(name));
if (binaries.length === 1 && !existsSync('node_modules/.bin/node'))
  symlinkSync(`../${binaries[0]}/bin/node`, 'node_modules/.bin/node');
