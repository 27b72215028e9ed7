// Reads a definition of low-level build steps (LLB), tells what its steps ask for, and writes it anew with sessions and cache
// mounts that are the owner's. Steps refer to each other by the digest of their bytes, so the digests are made anew as well.
// https://github.com/moby/buildkit/blob/master/solver/pb/ops.proto
import { createHash } from 'node:crypto';
import type { Collected } from './collected.ts';
import { Refusal } from './grpc.ts';
import { CACHE_ADDRESS, type Owner } from './owner.ts';
import {
  bytesOf,
  type Message,
  messageMapOf,
  messageOf,
  messagesOf,
  numberIn,
  readMessage,
  textMapOf,
  textOf,
  writeMessage,
} from './protobuf.ts';
import { refuseBrokenReferences } from './step-references.ts';

/** Most steps of one definition. */
const MAX_STEPS = 20_000;
const NETWORKS = ['default', 'host', 'none'] as const;

/**
 * Judges and rewrites a definition.
 *
 * @param at where it stands, for the facts
 * @returns what the engine gets in its place
 */
export function ownDefinition(definition: Message, at: string, owner: Owner, collected: Collected): Message {
  const steps = bytesOf(definition, 'def');
  if (steps.length > MAX_STEPS) throw new Refusal('resource-exhausted', `${at} has more than ${MAX_STEPS} steps`);
  const renamed = new Map<string, string>();
  const byDigest = new Map(steps.map((bytes, i) => [digestOf(bytes), { bytes, i }] as const));
  const written = new Map<string, Uint8Array>();
  const busy = new Set<string>();
  const visit = (digest: string, depth: number): void => {
    const step = byDigest.get(digest);
    if (step === undefined || written.has(digest)) return;
    if (busy.has(digest) || depth > 5000)
      throw new Refusal('invalid-argument', `the steps of ${at} go round in a ring`);
    busy.add(digest);
    const op = readMessage('pb.Op', step.bytes);
    for (const input of messagesOf(op, 'inputs')) visit(textOf(input, 'digest'), depth + 1);
    const inputs = messagesOf(op, 'inputs').map((input) => ({
      ...input,
      digest: renamed.get(textOf(input, 'digest')) ?? textOf(input, 'digest'),
    }));
    const own = ownStep(
      { ...op, ...(op.inputs === undefined ? {} : { inputs }) },
      `${at}.def[${step.i}]`,
      owner,
      collected,
    );
    const bytes = writeMessage('pb.Op', own);
    written.set(digest, bytes);
    renamed.set(digest, digestOf(bytes));
    busy.delete(digest);
  };
  for (const digest of byDigest.keys()) visit(digest, 0);
  const def = steps.map((bytes) => written.get(digestOf(bytes)) as Uint8Array);
  const name = (digest: string): string => renamed.get(digest) ?? digest;
  const keyed = (map: ReadonlyMap<string, Message>) =>
    new Map([...map].map(([key, value]) => [name(key), value] as const));
  const source = messageOf(definition, 'Source');
  return {
    def,
    metadata: keyed(messageMapOf(definition, 'metadata')),
    ...(source === undefined ? {} : { Source: ownSource(source, keyed) }),
  };
}

/** Where steps come from, for people. A definition inside it is read by nothing, so it is left out. */
function ownSource(source: Message, keyed: (map: ReadonlyMap<string, Message>) => Map<string, Message>): Message {
  return {
    locations: keyed(messageMapOf(source, 'locations')),
    infos: messagesOf(source, 'infos').map(({ definition: _, ...info }) => info),
  };
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function ownStep(op: Message, at: string, owner: Owner, collected: Collected): Message {
  if (op.build !== undefined) {
    throw new Refusal(
      'permission-denied',
      `${at} is a build inside the build, which cannot be judged; send its steps themselves`,
    );
  }
  refuseBrokenReferences(op, at);
  const exec = messageOf(op, 'exec');
  if (exec !== undefined) return { ...op, exec: ownExec(exec, `${at}.exec`, owner, collected) };
  const source = messageOf(op, 'source');
  if (source !== undefined) return { ...op, source: ownSourceOp(source, `${at}.source`, owner, collected) };
  return op;
}

function ownExec(exec: Message, at: string, owner: Owner, collected: Collected): Message {
  const network = NETWORKS[numberIn(exec, 'network')];
  const security = numberIn(exec, 'security');
  if (network === undefined || security > 1 || security < 0) {
    throw new Refusal('permission-denied', `${at} has a network or security mode that is not known here`);
  }
  collected.add('networks', `${at}.network`, network);
  if (network === 'host') collected.add('entitlements', `${at}.network`, 'network.host');
  if (security === 1) collected.add('entitlements', `${at}.security`, 'security.insecure');
  for (const device of messagesOf(exec, 'cdiDevices')) {
    collected.add('entitlements', `${at}.cdiDevices`, `device=${textOf(device, 'name')}`);
  }
  for (const secret of messagesOf(exec, 'secretenv')) collected.add('secrets', `${at}.secretenv`, textOf(secret, 'ID'));
  const meta = messageOf(exec, 'meta') ?? {};
  const parent = textOf(meta, 'cgroupParent');
  if (parent !== '') {
    throw new Refusal(
      'permission-denied',
      `${at}.meta.cgroupParent is ${JSON.stringify(parent.slice(0, 80))} (allowed: empty)`,
    );
  }
  const mounts = messagesOf(exec, 'mounts').map((mount, i) => ownMount(mount, `${at}.mounts[${i}]`, owner, collected));
  const extraHosts = [{ Host: owner.cacheHost, IP: CACHE_ADDRESS }, ...messagesOf(meta, 'extraHosts')];
  return { ...exec, meta: { ...meta, extraHosts }, ...(exec.mounts === undefined ? {} : { mounts }) };
}

function ownMount(mount: Message, at: string, owner: Owner, collected: Collected): Message {
  const secret = messageOf(mount, 'secretOpt');
  if (secret !== undefined) collected.add('secrets', `${at}.secretOpt`, textOf(secret, 'ID'));
  const ssh = messageOf(mount, 'SSHOpt');
  if (ssh !== undefined) collected.add('ssh', `${at}.SSHOpt`, textOf(ssh, 'ID') || 'default');
  const cache = messageOf(mount, 'cacheOpt');
  if (cache === undefined) return mount;
  return { ...mount, cacheOpt: { ...cache, ID: `${owner.space}/${textOf(cache, 'ID')}` } };
}

/** Attributes of sources: those that name a session become the owner's; of others their family must be known. */
const ATTRIBUTE = /^(local|git|http|oci|image)\.[a-z][A-Za-z0-9.-]*$/;
const SESSIONS: ReadonlySet<string> = new Set(['local.session', 'oci.session']);
const SECRETS: ReadonlySet<string> = new Set(['git.authtokensecret', 'git.authheadersecret', 'http.authheadersecret']);

export function ownSourceOp(source: Message, at: string, owner: Owner, collected: Collected): Message {
  const identifier = textOf(source, 'identifier');
  const scheme = /^([a-z0-9+.-]+):\/\//.exec(identifier)?.[1];
  const given = textMapOf(source, 'attrs');
  const attrs = new Map<string, string>();
  let sent = identifier;
  for (const [key, value] of given) {
    const isKnown = ATTRIBUTE.test(key) || /^http\.header\./.test(key);
    if (!isKnown)
      throw new Refusal(
        'permission-denied',
        `${at}.attrs has the key ${JSON.stringify(key.slice(0, 80))}, which is not known here`,
      );
    if (SECRETS.has(key)) collected.add('secrets', `${at}.attrs.${key}`, value);
    if (key === 'git.mountsshsock') collected.add('ssh', `${at}.attrs.${key}`, value);
    attrs.set(key, SESSIONS.has(key) ? owner.own(value, `${at}.attrs.${key}`) : value);
  }
  if (scheme === 'local') collected.add('contexts', at, identifier.slice('local://'.length));
  else if (scheme === 'oci-layout') collected.add('contexts', at, given.get('oci.store') ?? '');
  else if (scheme === 'docker-image') sent = collected.image(at, identifier.slice('docker-image://'.length));
  else collected.add('sources', at, identifier);
  return { ...source, identifier: sent, ...(source.attrs === undefined ? {} : { attrs }) };
}
