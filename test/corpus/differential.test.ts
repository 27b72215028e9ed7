// What was judged against what the engine then holds: oddly spelled bodies go to the engine once as they are and once through
// the gateway, and `inspect` must tell the same of both, and of each field what the judged value says.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { classify } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import type { JsonObject } from '../../src/engine/types.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { exchange, type Header } from './exchange.ts';
import { CONFIG, EXEC, HOST, NETWORK, oddBody, UPDATE, VOLUME } from './odd-bodies.ts';

const PREFIX = `dgx-diff-${IS_DENO ? 'deno' : 'node'}`;
/** Bodies of each kind. */
const RUNS = Number(process.env.DOCKGATE_DIFFERENTIAL_RUNS ?? 30);
const SEED = 20241124;
const TIMEOUT_MS = 300_000;
const JSON_HEADER: Header = ['Content-Type', 'application/json'];
type Answer = { status: number; value: Record<string, unknown> };

describe('the judged value and the reading of the engine', { skip: skipWithoutEngine }, () => {
  const engine = ENGINE as string;
  let gateway: TestGateway;
  let operator: Header;

  before(async () => {
    gateway = await startGateway({
      engine,
      settings: { listen: ['https://127.0.0.1:0', { unix: './any.sock', mode: '0600' }] },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    operator = ['Authorization', `Bearer ${await gateway.must('token', 'create', 'op')}`];
  });
  after(async () => {
    for (const { Id, Names } of (await list('/containers/json?all=1')) as { Id: string; Names: string[] }[])
      if (Names.some((name) => name.startsWith(`/${PREFIX}`))) await ask('DELETE', `/containers/${Id}?force=1&v=1`);
    for (const { Id, Name } of (await list('/networks')) as { Id: string; Name: string }[])
      if (Name.startsWith(PREFIX)) await ask('DELETE', `/networks/${Id}`);
    const { value } = await ask('GET', '/volumes');
    for (const { Name } of (value.Volumes ?? []) as { Name: string }[])
      if (Name.startsWith(PREFIX) || Name === 'dgx-volume') await ask('DELETE', `/volumes/${Name}?force=1`);
    await gateway?.remove();
  });

  const through = async (where: 'engine' | 'gateway', method: string, path: string, body?: string): Promise<Answer> => {
    const request = { method, path, ...(body === undefined ? {} : { body, headers: [JSON_HEADER] }) };
    const [answer] = await exchange(
      where === 'engine' ? engine : join(gateway.dir, 'any.sock'),
      request,
      where === 'engine' ? [] : [operator],
    );
    let value: unknown;
    try {
      value = JSON.parse(answer?.body.toString() ?? '');
    } catch {
      value = {};
    }
    return { status: answer?.status ?? 0, value: value as Record<string, unknown> };
  };
  const ask = (method: string, path: string, body?: string) => through('engine', method, path, body);
  const list = async (path: string): Promise<unknown[]> => (await ask('GET', path)).value as unknown as unknown[];
  const judgedOf = (path: string, body: string): JsonObject => {
    const value = decodeBody(classify('POST', path), ['application/json'], new TextEncoder().encode(body));
    return value as JsonObject;
  };
  const texts = (bodies: fc.Arbitrary<string>): string[] => fc.sample(bodies, { seed: SEED, numRuns: RUNS });

  it('containers: HostConfig and Config', { timeout: TIMEOUT_MS }, async () => {
    const bodies = oddBody({ Image: IMAGE, HostConfig: { NetworkMode: 'none' } }, CONFIG, { HostConfig: HOST });
    const plain = `{"Image":"${IMAGE}","HostConfig":{"NetworkMode":"none"}}`;
    await ask('POST', `/containers/create?name=${PREFIX}-plain`, plain);
    const unset = (await ask('GET', `/containers/${PREFIX}-plain/json`)).value;
    let held = 0;
    for (const [i, body] of texts(bodies).entries()) {
      const path = `/v1.41/containers/create?name=${PREFIX}-`;
      const direct = await ask('POST', `${path}d${i}`, body);
      const judged = await through('gateway', 'POST', `${path}g${i}`, body);
      assert.equal(judged.status, direct.status, `${body}: ${JSON.stringify([judged.value, direct.value])}`);
      if (direct.status !== 201) continue;
      held += 1;
      const [d, g] = await Promise.all(
        ['d', 'g'].map(async (mark) => (await ask('GET', `/containers/${PREFIX}-${mark}${i}/json`)).value),
      );
      assert.deepEqual(settled(g), settled(d), body);
      const value = judgedOf(`${path}g${i}`, body);
      agree(
        value.HostConfig as JsonObject,
        member(g, 'HostConfig'),
        member(unset, 'HostConfig'),
        Object.keys(HOST),
        body,
      );
      agree(value, member(g, 'Config'), member(unset, 'Config'), Object.keys(CONFIG), body);
      for (const mark of ['d', 'g']) await ask('DELETE', `/containers/${PREFIX}-${mark}${i}?force=1&v=1`);
    }
    assert.ok(held > RUNS / 2, `only ${held} of ${RUNS} were taken by the engine`);
  });

  it('updates and execs of a container', { timeout: TIMEOUT_MS }, async () => {
    const config = `{"Image":"${IMAGE}","Cmd":["sleep","600"],"HostConfig":{"NetworkMode":"none"}}`;
    for (const mark of ['d', 'g']) {
      await ask('POST', `/containers/create?name=${PREFIX}-up-${mark}`, config);
      await ask('POST', `/containers/${PREFIX}-up-${mark}/start`);
    }
    const at = (mark: string, what: string) => `/v1.41/containers/${PREFIX}-up-${mark}/${what}`;
    for (const body of texts(oddBody({}, UPDATE))) {
      const direct = await ask('POST', at('d', 'update'), body);
      const judged = await through('gateway', 'POST', at('g', 'update'), body);
      assert.equal(judged.status, direct.status, `${body}: ${JSON.stringify([judged.value, direct.value])}`);
      const [d, g] = await Promise.all(['d', 'g'].map(async (mark) => (await ask('GET', at(mark, 'json'))).value));
      assert.deepEqual(settled(g), settled(d), body);
      if (direct.status !== 200) continue;
      const host = member(g, 'HostConfig');
      for (const [field, value] of Object.entries(judgedOf(at('g', 'update'), body)))
        assert.deepEqual(
          readingOf(field, host[field], undefined),
          readingOf(field, plainOf(value), undefined),
          `${field} of ${body}`,
        );
    }
    for (const body of texts(oddBody({ Cmd: ['id', '-u'] }, EXEC))) {
      const direct = await ask('POST', at('d', 'exec'), body);
      const judged = await through('gateway', 'POST', at('g', 'exec'), body);
      assert.equal(judged.status, direct.status, `${body}: ${JSON.stringify(judged.value)}`);
      const [d, g] = await Promise.all(
        [direct, judged].map(async ({ value }) => (await ask('GET', `/exec/${value.Id}/json`)).value),
      );
      assert.deepEqual(settled(g), settled(d), body);
      const value = judgedOf(at('g', 'exec'), body);
      const process = member(g, 'ProcessConfig');
      assert.equal(process.privileged ?? false, value.Privileged ?? false, body);
      assert.equal(process.tty, value.Tty ?? false, body);
      assert.equal(process.user ?? '', value.User ?? '', body);
      assert.deepEqual([process.entrypoint, ...(process.arguments as string[])], plainOf(value.Cmd), body);
    }
  });

  it('volumes and networks', { timeout: TIMEOUT_MS }, async () => {
    for (const [i, body] of texts(oddBody({ Name: 'NAME' }, VOLUME)).entries()) {
      const named = (mark: string) => body.replace(NAMED, JSON.stringify(`${PREFIX}-${mark}${i}`));
      const direct = await ask('POST', '/v1.41/volumes/create', named('d'));
      const judged = await through('gateway', 'POST', '/v1.41/volumes/create', named('g'));
      assert.equal(judged.status, direct.status, `${body}: ${JSON.stringify(judged.value)}`);
      const [d, g] = await Promise.all(
        ['d', 'g'].map(async (mark) => (await ask('GET', `/volumes/${PREFIX}-${mark}${i}`)).value),
      );
      assert.deepEqual(settled(g), settled(d), body);
      const value = judgedOf('/v1.41/volumes/create', named('g'));
      assert.deepEqual(plainOf(g?.Options ?? {}), plainOf(value.DriverOpts ?? {}), body);
    }
    for (const [i, body] of texts(oddBody({ Name: 'NAME', Internal: true }, NETWORK))
      .slice(0, 12)
      .entries()) {
      const named = (mark: string) => body.replace(NAMED, JSON.stringify(`${PREFIX}-${mark}${i}`));
      const direct = await ask('POST', '/v1.41/networks/create', named('d'));
      const judged = await through('gateway', 'POST', '/v1.41/networks/create', named('g'));
      assert.equal(judged.status, direct.status, `${body}: ${JSON.stringify(judged.value)}`);
      const [d, g] = await Promise.all(
        ['d', 'g'].map(async (mark) => (await ask('GET', `/networks/${PREFIX}-${mark}${i}`)).value),
      );
      assert.deepEqual(settled(g), settled(d), body);
      const value = judgedOf('/v1.41/networks/create', named('g'));
      assert.deepEqual(plainOf(g?.Options ?? {}), plainOf(value.Options ?? {}), body);
      assert.equal(g?.Driver, value.Driver || 'bridge', body);
      for (const mark of ['d', 'g']) await ask('DELETE', `/networks/${PREFIX}-${mark}${i}`);
    }
  });
});

/** The name in a generated body, plain or escaped. */
const NAMED = /"(?:NAME|\\u004e\\u0041\\u004d\\u0045)"/;

const member = (value: unknown, key: string): Record<string, unknown> =>
  ((value as Record<string, unknown> | undefined)?.[key] ?? {}) as Record<string, unknown>;

/** Ordinary objects, so that two values can be compared whatever made them. */
const plainOf = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

/** What differs between two equal objects: ids, times, names, places, and the labels the gateway stamps. */
function settled(value: unknown): unknown {
  const drop = new Set([
    ...[
      'Id',
      'ID',
      'Created',
      'CreatedAt',
      'Name',
      'ContainerID',
      'LogPath',
      'HostnamePath',
      'HostsPath',
      'ResolvConfPath',
    ],
    ...['State', 'GraphDriver', 'Mountpoint', 'Mounts', 'NetworkSettings', 'Pid', 'IPAM', 'Storage'],
  ]);
  const walk = (item: unknown, key: string, inHost: boolean): unknown => {
    if (Array.isArray(item)) return item.map((each) => walk(each, '', inHost));
    if (typeof item !== 'object' || item === null) return item;
    const kept = Object.entries(item).filter(([name, inner]) => {
      if (name.startsWith('dockgate.')) return false;
      // HostConfig.Mounts is what was asked for; the list beside it holds new ids.
      if (drop.has(name)) return name === 'Mounts' && inHost;
      return !(name === 'Hostname' && typeof inner === 'string' && /^[0-9a-f]{12}$/.test(inner));
    });
    const copy = Object.fromEntries(kept.map(([name, inner]) => [name, walk(inner, name, name === 'HostConfig')]));
    return key === 'Labels' && Object.keys(copy).length === 0 ? null : copy;
  };
  return walk(value, '', false);
}

/** Every field means what was judged; a field that was left empty has the engine's own value. */
function agree(
  judged: JsonObject,
  held: Record<string, unknown>,
  unset: Record<string, unknown>,
  fields: readonly string[],
  body: string,
): void {
  for (const field of fields) {
    const value = plainOf(judged[field]);
    const found = readingOf(field, held[field], unset[field]);
    // A privileged container masks nothing; a host name that was not asked for is the id's or the host's.
    if (field === 'MaskedPaths' && judged.Privileged === true) continue;
    if (field === 'Hostname' && isNothing(value)) continue;
    const isUnset = isNothing(value) && !(field === 'MaskedPaths' && Array.isArray(value));
    if (!isUnset) assert.deepEqual(found, readingOf(field, value, unset[field]), `${field} of ${body}`);
    // The engine fills what it must, with the same for all.
    else if (!isNothing(found))
      assert.deepEqual(found, readingOf(field, unset[field], unset[field]), `${field} of ${body}`);
  }
}

const isNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === 0 ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** Capabilities come back with CAP_ and in order, a log driver without a name as the default, labels with the image's own. */
function readingOf(field: string, value: unknown, unset: unknown): unknown {
  if (value === undefined || value === null) return value ?? null;
  if (field === 'CapAdd' || field === 'CapDrop')
    return (value as string[]).map((name) => name.replace(/^CAP_/, '').toUpperCase()).sort();
  if (field === 'LogConfig' && member(value, 'Type') !== undefined && (value as { Type: string }).Type === '')
    return unset;
  if (field === 'Labels')
    return Object.fromEntries(Object.entries(value).filter(([name]) => !name.startsWith('dockgate.')));
  // What shares a namespace of the host, or is privileged, is left without labels.
  if (field === 'SecurityOpt') {
    const options = (value as string[]).filter((option) => option !== 'label=disable');
    return options.length === 0 ? null : options;
  }
  // Below API 1.44 the engine adds it to every read-only bind.
  if (field === 'Mounts')
    return JSON.parse(JSON.stringify(value, (key, item) => (key === 'ReadOnlyNonRecursive' ? undefined : item)));
  if (field === 'PidsLimit') return (value as number) <= 0 ? null : value;
  if (field === 'Env') return (value as string[]).filter((text) => !text.startsWith('PATH='));
  return value;
}
