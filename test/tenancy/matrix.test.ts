// Every operation of the table that names an object, tried by bob on what is alice's, in every spelling: the answer is the one
// for an object that is not there, and alice's objects stay as they were. Generated from the operations table; on both image
// stores: the engine's own and, on the newest line, containerd's.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { OPERATIONS } from '../../src/engine/operations.ts';
import type { Operation } from '../../src/engine/types.ts';
import { must } from '../support/api.ts';
import { ENGINE, IMAGE, NEW_LINE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-matrix-${IS_DENO ? 'deno' : 'node'}`;

type Kind = 'container' | 'exec' | 'image' | 'volume' | 'network';
const KINDS: readonly string[] = ['container', 'exec', 'image', 'volume', 'network'];
const kindOf = (operation: Operation): string => (operation.path.startsWith('/exec/') ? 'exec' : operation.resource);

/** What else an operation must be given to get as far as looking for its object. */
const NEEDS: Record<string, { query?: string; body?: unknown }> = {
  ContainerRename: { query: `name=${PREFIX}-stolen` },
  ContainerResize: { query: 'h=10&w=10' },
  ExecResize: { query: 'h=10&w=10' },
  ContainerUpdate: { body: { CpuShares: 512 } },
  ContainerExec: { body: { Cmd: ['true'] } },
  ExecStart: { body: { Detach: true } },
  ContainerArchive: { query: 'path=/bin' },
  ContainerArchiveInfo: { query: 'path=/bin' },
  PutContainerArchive: { query: 'path=/', body: '' },
  ContainerLogs: { query: 'stdout=1' },
  ContainerAttach: { query: 'logs=1&stdout=1' },
  ContainerStats: { query: 'stream=0' },
  ImageTag: { query: `repo=${PREFIX}-stolen&tag=1` },
  ImagePush: { query: 'tag=1' },
  NetworkConnect: { body: { Container: 'none-such' } },
  NetworkDisconnect: { body: { Container: 'none-such' } },
  CheckpointCreate: { body: { CheckpointID: 'c' } },
  VolumeUpdate: { query: 'version=1', body: { Spec: {} } },
};

const operations = OPERATIONS.filter(
  (operation) => operation.served && /\{(id|name)\}/.test(operation.path) && KINDS.includes(kindOf(operation)),
);

/** Spellings of an object that has an id, a name, or both; `named` ones need a name of their own to be fair to. */
function spellings(id: string, name: string): Record<string, string> {
  const plain: Record<string, string> = {};
  if (id !== '') {
    for (const digits of [64, 12, 4, 1]) plain[`${digits} digits`] = id.slice(0, digits);
    plain['upper case id'] = id.toUpperCase();
  }
  if (name !== '') {
    plain.name = name;
    plain['/name'] = `%2F${name}`;
    plain['start of the name'] = name.slice(0, -2);
    plain['mixed case'] = name.replace(/[a-z]$/, (last) => last.toUpperCase());
    plain['percent-encoded'] = [...name].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('');
  }
  return plain;
}

/** An answer without what differs from call to call: the audit id, and the name it was asked by. */
const told = (text: string, names: readonly string[]): string =>
  names
    .filter((name) => name !== '')
    .sort((a, b) => b.length - a.length)
    .reduce((left, name) => left.replaceAll(name, 'NAME'), text.replace(/ \[audit [0-9a-f-]+\]/, ''));

const stores = [
  { store: 'the engine\u2019s own', socket: ENGINE, skip: skipWithoutEngine },
  { store: 'containerd\u2019s', socket: NEW_LINE.socket, skip: NEW_LINE.skip },
];
for (const { store, socket, skip } of stores) {
  describe(`bob tries every operation on what is alice\u2019s, images in ${store} store`, { skip }, () => {
    let two: TwoTenants;
    let shared: string[] = [];
    const objects = {} as Record<Kind, { id: string; name: string }>;

    before(async () => {
      two = await startTwoTenants('operator', { engine: socket as string });
      const name = (what: string) => `${PREFIX}-${what}`;
      const made = await must<{ Id: string }>(two.alice, 'POST', `/containers/create?name=${name('c')}`, {
        Image: IMAGE,
        Cmd: ['sleep', '300'],
        HostConfig: { NetworkMode: 'none' },
      });
      await must(two.alice, 'POST', `/containers/${made.Id}/start`);
      const exec = await must<{ Id: string }>(two.alice, 'POST', `/containers/${made.Id}/exec`, { Cmd: ['true'] });
      await must(two.alice, 'POST', '/volumes/create', { Name: name('v') });
      const network = await must<{ Id: string }>(two.alice, 'POST', '/networks/create', {
        Name: name('n'),
        Internal: true,
      });
      const image = await must<{ Id: string }>(
        two.alice,
        'POST',
        `/commit?container=${made.Id}&repo=${name('i')}&tag=1`,
      );
      const images = await must<{ Id: string }[]>(two.engine, 'GET', '/images/json?all=1');
      shared = images.filter((one) => one.Id !== image.Id).map((one) => one.Id.replace('sha256:', ''));
      objects.container = { id: made.Id, name: name('c') };
      objects.exec = { id: exec.Id, name: '' };
      objects.volume = { id: '', name: name('v') };
      objects.network = { id: network.Id, name: name('n') };
      objects.image = { id: image.Id.replace('sha256:', ''), name: `${name('i')}:1` };
    });
    after(async () => {
      if (two === undefined) return;
      await removeAll(two.engine, PREFIX);
      await two.gateway.remove();
    });

    for (const operation of operations) {
      it(`${operation.method} ${operation.path}`, async () => {
        const kind = kindOf(operation) as Kind;
        const { id, name } = objects[kind];
        const missingId = randomBytes(32).toString('hex');
        const missingName = name.replace(PREFIX, `${PREFIX}x`);
        const theirs = spellings(id, name);
        const nobodys = spellings(id === '' ? '' : missingId, missingName);
        const { query, body } = NEEDS[operation.id] ?? {};
        const ask = (asked: string) => {
          const path = operation.path.replace(/\{(id|name)\}/, asked).replace('{checkpoint}', 'c');
          return two.bob(
            operation.method,
            query === undefined ? path : `${path}?${query}`,
            body === undefined ? {} : { body },
          );
        };
        for (const [spelling, asked] of Object.entries(theirs)) {
          // One digit may well be the start of a shared image's id.
          if (
            kind === 'image' &&
            [asked, nobodys[spelling]].some((of) => shared.some((one) => one.startsWith(of as string)))
          )
            continue;
          const foreign = await ask(asked);
          const missing = await ask(nobodys[spelling] as string);
          const label = `${operation.id} by ${spelling} (${asked})`;
          assert.ok(foreign.status >= 400, `${label}: ${foreign.status} ${foreign.text}`);
          assert.equal(foreign.status, missing.status, `${label}: ${foreign.text} / ${missing.text}`);
          const names = (of: string) => [of, decodeURIComponent(of), decodeURIComponent(of).replace(/^\//, '')];
          // One and four digits are the start of many words; they are compared by their length alone.
          if (asked.length > 4) {
            assert.equal(
              told(foreign.text, names(asked)),
              told(missing.text, names(nobodys[spelling] as string)),
              label,
            );
          }
        }
      });
    }

    it('alice still has all of it', async () => {
      const container = await must<{ Name: string; State: { Running: boolean; Paused: boolean } }>(
        two.alice,
        'GET',
        `/containers/${objects.container.id}/json`,
      );
      assert.equal(container.Name, `/${PREFIX}-c`);
      assert.deepEqual([container.State.Running, container.State.Paused], [true, false]);
      await must(two.alice, 'GET', `/volumes/${objects.volume.name}`);
      await must(two.alice, 'GET', `/networks/${objects.network.name}`);
      await must(two.alice, 'GET', `/images/${objects.image.name}/json`);
      await must(two.alice, 'GET', `/exec/${objects.exec.id}/json`);
    });

    it('alice reaches her own by id, by part of it and by name', async () => {
      const { id, name } = objects.container;
      for (const spelling of [id, id.slice(0, 12), id.slice(0, 4), id.slice(0, 1), name]) {
        assert.equal((await two.alice('GET', `/containers/${spelling}/json`)).status, 200, spelling);
      }
      for (const spelling of [objects.image.id, objects.image.id.slice(0, 12), `sha256:${objects.image.id}`]) {
        assert.equal((await two.alice('GET', `/images/${spelling}/json`)).status, 200, spelling);
      }
    });
  });
}
