// Query parameters: those an engine reads, from a table derived from the engines' sources, and those it does not, which are left
// out of what is sent. engine-queries.tsv: method, path, parameter and the lines (20.10.24, 28.5.2, API 1.56) that read it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { classify } from '../../src/engine/classify.ts';
import { OPERATIONS } from '../../src/engine/operations.ts';
import { parametersOf } from '../../src/engine/query-parameters.ts';
import { renderTarget } from '../../src/engine/render-target.ts';

const rows: readonly (readonly [title: string, line: string, sent: string | undefined])[] = [
  ['dockerode repeats a volume in the query', 'POST /volumes/create?Name=v&Driver=local', '/volumes/create'],
  ['dockerode repeats a network in the query', 'POST /networks/create?Name=n&Internal=true', '/networks/create'],
  ['a name no field of the body has', 'POST /volumes/create?Nam=v', '/volumes/create'],
  ['a field of the body in another case', 'POST /volumes/create?name=v', '/volumes/create'],
  ['a field of another body', 'POST /volumes/create?Internal=true', '/volumes/create'],
  ['dockerode attaches with hijack', 'POST /containers/a/attach?stream=1&hijack=true', '/containers/a/attach?stream=1'],
  ['the parameter of another operation', 'POST /containers/a/start?force=1', '/containers/a/start'],
  ['a parameter with a slash and a space', 'POST /containers/a/start?a/b%20c=1', '/containers/a/start'],
  // Podman takes a parameter in any case, so it would be read by one engine and not by another.
  ['a parameter in another case', 'POST /containers/a/stop?T=1', undefined],
  ['a source of an image in another case', 'POST /images/create?fromImage=a&fromsrc=-', undefined],
  ['docker-py tags with force', 'POST /images/x/tag?repo=y&tag=1&force=0', '/images/x/tag?repo=y&tag=1&force=0'],
  ['an unknown parameter of a tag', 'POST /images/x/tag?repo=y&tag=1&forced=0', '/images/x/tag?repo=y&tag=1'],
  [
    'the CLI gives security options of a build one by one',
    'POST /build?securityopt=seccomp%3Dunconfined&securityopt=x',
    '/build?securityopt=seccomp%3Dunconfined&securityopt=x',
  ],
];

describe('classify() on query parameters the engine does not read', () => {
  for (const [title, line, sent] of rows) {
    it(`${title} is ${sent === undefined ? 'refused' : 'read'}`, () => {
      const [method, target] = line.split(' ') as [string, string];
      if (sent === undefined) assert.throws(() => classify(method, target), { code: 'query-unknown' });
      else assert.equal(renderTarget(classify(method, target)), sent);
    });
  }
});

const shapeOf = (path: string): string => path.replace(/\{\w+\}/g, '{}');
const read = readFileSync(new URL('./engine-queries.tsv', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => line.split('\t') as [method: string, path: string, parameter: string, lines: string]);

/** Kept although no engine of Docker's reads them: Podman does, or the caller of old engines may mean them. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  ContainerStart: ['detachKeys'],
  ContainerPrune: ['stream'],
  ImageList: ['digests'],
  ImagePrune: ['stream'],
  ImageTag: ['force'],
  NetworkPrune: ['stream'],
  ServiceLogs: ['until'],
  TaskLogs: ['until'],
  VolumePrune: ['stream'],
};

it('classify() knows every parameter an engine reads, and no other', () => {
  const known = new Map<string, Set<string>>();
  for (const [method, path, parameter] of read) {
    const operation = OPERATIONS.find((o) => o.method === method && shapeOf(o.path) === shapeOf(path));
    // The list of networks has a second path, and debugging is never served.
    if (operation === undefined || !operation.served || parameter === '-') continue;
    // The handler is that of /images/get; with a name in the path it looks at no other.
    if (operation.id === 'ImageGet' && parameter === 'names') continue;
    known.set(operation.id, (known.get(operation.id) ?? new Set()).add(parameter));
  }
  for (const { id } of OPERATIONS) {
    const names = new Set([...(known.get(id) ?? []), ...(ALSO[id] ?? [])]);
    assert.deepEqual(Object.keys(parametersOf(id)).sort(), [...names].sort(), id);
  }
});

it('classify() names what it leaves out', () => {
  const { leftOut } = classify('POST', '/containers/a/attach?hijack=1&stream=1&hijack=2&x%2Fy=1');
  assert.deepEqual(leftOut, [{ at: 'query.hijack' }, { at: 'query.x/y' }]);
  assert.equal(classify('GET', '/containers/json?all=1').leftOut, undefined);
});
