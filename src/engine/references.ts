// Lists every object a call touches, wherever it is named: path, query or body. Names stay as asked, except image
// references, which take their canonical form. Resolving them to existing objects is left to the gateway.
import { GatewayError } from '../errors.ts';
import { cacheSources, canonicalImage, everyTag, exported, namedImage } from './canonical-names.ts';
import { canonicalImageReference } from './image-reference.ts';
import { parseBind, volumesFromContainer } from './mounts.ts';
import type { Json, JsonObject, ResourceKind, ResourceRef, Target } from './types.ts';

type Role = ResourceRef['role'];

/** Network modes that are no networks of their own. */
const BUILT_IN_NETWORKS: ReadonlySet<string> = new Set(['', 'default', 'bridge', 'none', 'host']);

/** Collects references without naming one object twice at one place. */
class References {
  readonly found: ResourceRef[] = [];

  add(kind: ResourceKind, name: string, at: string, role: Role): void {
    this.found.push({ kind, name, at, role });
  }

  image(reference: string, at: string, role: Role): void {
    this.add('image', canonicalImage(reference), at, role);
  }

  /** A container is named with or without a leading slash. */
  container(name: string, at: string, role: Role): void {
    this.add('container', name.startsWith('/') ? name.slice(1) : name, at, role);
  }
}

/** A search term as a name of a registry: `docker.io/redis`, `registry.test/redis`. */
function searchedName(term: string): string {
  const slash = term.indexOf('/');
  const head = slash < 0 ? '' : term.slice(0, slash);
  return head === 'localhost' || /[.:]/.test(head) ? term : `docker.io/${term}`;
}

/**
 * Every object the call touches, in the order path, query, body. The first is the main one.
 *
 * @param body as `decodeBody` gave it
 * @throws {GatewayError} `body-malformed`, `query-ambiguous` where a name cannot be read with certainty
 */
export function referencesOf(target: Target, body: Json | undefined): readonly ResourceRef[] {
  const refs = new References();
  const one = (name: string): string => target.query[name]?.[0] ?? '';
  const namer = Object.hasOwn(NAMERS, target.operation.id) ? NAMERS[target.operation.id] : undefined;
  if (namer === undefined) addPath(refs, target);
  else namer(refs, { target, body: asObject(body), one });
  if (refs.found.length === 0) refs.add(target.operation.resource, '', '', 'target');
  return Object.freeze(refs.found.map((ref) => Object.freeze(ref)));
}

interface Asked {
  readonly target: Target;
  readonly body: JsonObject;
  /** First value of a query parameter, empty if it is missing. */
  readonly one: (name: string) => string;
}

/** Operations that name objects elsewhere than in their path, by operation id. All others name the objects of their path. */
const NAMERS: Readonly<Record<string, (refs: References, asked: Asked) => void>> = {
  ContainerCreate: (refs, { one, body }) => {
    refs.container(one('name'), 'query.name', 'creates');
    addContainerCreate(refs, body);
  },
  ContainerRename: (refs, { target, one }) => {
    addPath(refs, target);
    refs.container(one('name'), 'query.name', 'creates');
  },
  ImageCommit: (refs, { one }) => {
    refs.container(one('container'), 'query.container', 'target');
    addNewImage(refs, one('repo'), one('tag'), 'query.repo');
  },
  ImageCreate: addImageCreate,
  ImageTag: (refs, { target, one }) => {
    addPath(refs, target);
    addNewImage(refs, one('repo'), one('tag'), 'query.repo');
  },
  ImagePush: (refs, { target, one }) => {
    const name = target.path.name ?? '';
    const tag = one('tag');
    refs.add('image', tag === '' ? everyTag(name) : canonicalImageReference(`${name}:${tag}`), 'path.name', 'target');
  },
  ImageGetAll: (refs, { target }) => {
    for (const [i, name] of (target.query.names ?? []).entries()) {
      if (name !== '') refs.add('image', exported(name), `query.names[${i}]`, 'target');
    }
  },
  ImageGet: (refs, { target }) => refs.add('image', exported(target.path.name ?? ''), 'path.name', 'target'),
  // The engine asks the registry the term starts with, or the public one.
  ImageSearch: (refs, { one }) => refs.add('image', searchedName(one('term')), 'query.term', 'target'),
  SystemAuth: (refs, { body }) => refs.add('system', textOf(body.serveraddress), 'serveraddress', 'target'),
  ImageBuild: addBuild,
  BuildCancel: (refs, { one }) => refs.add('build', one('id'), 'query.id', 'target'),
  VolumeCreate: (refs, { body }) => {
    refs.add('volume', textOf(body.Name), 'Name', 'creates');
    addClusterSecrets(refs, asObject(body.ClusterVolumeSpec), 'ClusterVolumeSpec');
  },
  VolumeUpdate: (refs, { target, body }) => {
    addPath(refs, target);
    addClusterSecrets(refs, asObject(body.Spec), 'Spec');
  },
  NetworkCreate: (refs, { body }) => {
    refs.add('network', textOf(body.Name), 'Name', 'creates');
    addNamed(refs, 'network', asObject(body.ConfigFrom).Network, 'ConfigFrom.Network');
  },
  NetworkConnect: (refs, { target, body }) => {
    addPath(refs, target);
    refs.container(textOf(body.Container), 'Container', 'uses');
    addEndpoint(refs, asObject(body.EndpointConfig), target.path.id ?? '', 'EndpointConfig');
  },
  NetworkDisconnect: (refs, { target, body }) => {
    addPath(refs, target);
    refs.container(textOf(body.Container), 'Container', 'uses');
  },
  ServiceCreate: (refs, { body }) => {
    refs.add('service', textOf(body.Name), 'Name', 'creates');
    addService(refs, body);
  },
  ServiceUpdate: (refs, { target, body }) => {
    addPath(refs, target);
    addService(refs, body);
  },
  SecretCreate: (refs, { body }) => refs.add('secret', textOf(body.Name), 'Name', 'creates'),
  ConfigCreate: (refs, { body }) => refs.add('config', textOf(body.Name), 'Name', 'creates'),
  GetPluginPrivileges: (refs, { one }) => refs.add('plugin', one('remote'), 'query.remote', 'target'),
  PluginPull: (refs, { one }) => {
    refs.add('plugin', one('name') === '' ? one('remote') : one('name'), 'query.name', 'creates');
    refs.add('plugin', one('remote'), 'query.remote', 'uses');
  },
  PluginCreate: (refs, { one }) => refs.add('plugin', one('name'), 'query.name', 'creates'),
  PluginUpgrade: (refs, { target, one }) => {
    addPath(refs, target);
    refs.add('plugin', one('remote'), 'query.remote', 'uses');
  },
};

/** The object the path names, if it names one. */
function addPath(refs: References, target: Target): void {
  const { operation, path } = target;
  const parameter = path.id !== undefined ? 'id' : 'name';
  const name = path[parameter];
  if (name === undefined) return;
  // Under /exec stands an exec id, whichever kind the table groups it with.
  const kind = operation.path.startsWith('/exec/') ? 'exec' : operation.resource;
  const at = `path.${parameter}`;
  if (kind === 'container') refs.container(name, at, 'target');
  else if (kind === 'image') refs.image(name, at, 'target');
  else if (kind === 'distribution') refs.add(kind, namedImage(name), at, 'target');
  else refs.add(kind, name, at, 'target');
}

function addNamed(refs: References, kind: ResourceKind, name: Json | undefined, at: string): void {
  const text = textOf(name);
  if (text !== '') refs.add(kind, text, at, 'uses');
}

function addNewImage(refs: References, repo: string, tag: string, at: string): void {
  // A new name is never taken for part of an id.
  if (repo !== '') refs.add('image', canonicalImageReference(tag === '' ? repo : `${repo}:${tag}`), at, 'creates');
}

function addImageCreate(refs: References, { one }: Asked): void {
  if (one('fromSrc') !== '') {
    addNewImage(refs, one('repo'), one('tag'), 'query.repo');
    return;
  }
  const name = one('fromImage');
  const tag = one('tag');
  if (name === '') return;
  // The engine takes a digest in tag as well.
  const reference =
    tag === '' ? everyTag(name) : canonicalImageReference(`${name}${tag.includes(':') ? '@' : ':'}${tag}`);
  refs.add('image', reference, 'query.fromImage', 'target');
}

function addBuild(refs: References, { target, one }: Asked): void {
  for (const [i, tag] of (target.query.t ?? []).entries()) addNewImage(refs, tag, '', `query.t[${i}]`);
  if (refs.found.length === 0) refs.add('build', '', '', 'target');
  addMode(refs, one('networkmode'), 'query.networkmode', true);
  const cacheFrom = one('cachefrom');
  if (cacheFrom === '') return;
  for (const [i, name] of cacheSources(cacheFrom).entries()) refs.image(name, `query.cachefrom[${i}]`, 'uses');
}

/** `container:NAME` in a namespace mode; for networks also the name of a network. */
function addMode(refs: References, mode: string, at: string, isNetwork: boolean): void {
  const colon = mode.indexOf(':');
  if (colon >= 0 && mode.slice(0, colon) === 'container') refs.container(mode.slice(colon + 1), at, 'uses');
  else if (isNetwork && !BUILT_IN_NETWORKS.has(mode)) {
    refs.add('network', mode, at, 'uses');
    // Podman takes a comma for the end of one network and the start of the next: each is named, beside the whole.
    if (mode.includes(',')) for (const name of mode.split(',')) if (name !== '') refs.add('network', name, at, 'uses');
  }
}

/** Secrets of a cluster volume are named by id or name. */
function addClusterSecrets(refs: References, spec: JsonObject, at: string): void {
  for (const [i, item] of listOf(spec.Secrets).entries()) {
    addNamed(refs, 'secret', asObject(item).Secret, `${at}.Secrets[${i}].Secret`);
  }
}

function addContainerCreate(refs: References, body: JsonObject): void {
  const image = textOf(body.Image);
  if (image !== '') refs.image(image, 'Image', 'uses');
  const host = asObject(body.HostConfig);
  for (const [i, spec] of textsOf(host.Binds).entries()) {
    const bind = parseBind(spec);
    if (bind.kind === 'volume') refs.add('volume', bind.source, `HostConfig.Binds[${i}]`, 'uses');
  }
  addMounts(refs, host.Mounts, 'HostConfig.Mounts');
  for (const [i, spec] of textsOf(host.VolumesFrom).entries()) {
    refs.container(volumesFromContainer(spec), `HostConfig.VolumesFrom[${i}]`, 'uses');
  }
  addLinks(refs, host.Links, 'HostConfig.Links');
  const networkMode = textOf(host.NetworkMode);
  addMode(refs, networkMode, 'HostConfig.NetworkMode', true);
  for (const field of ['PidMode', 'IpcMode', 'UTSMode', 'UsernsMode', 'Cgroup', 'CgroupnsMode']) {
    addMode(refs, textOf(host[field]), `HostConfig.${field}`, false);
  }
  const endpoints = asObject(asObject(body.NetworkingConfig).EndpointsConfig);
  for (const [name, settings] of Object.entries(endpoints)) {
    const at = `NetworkingConfig.EndpointsConfig[${JSON.stringify(name)}]`;
    const joinsHost = name === 'host' && networkMode !== 'host';
    if (name !== networkMode && (!BUILT_IN_NETWORKS.has(name) || joinsHost)) refs.add('network', name, at, 'uses');
    addEndpoint(refs, asObject(settings), name, at);
  }
}

function addEndpoint(refs: References, settings: JsonObject, network: string, at: string): void {
  const id = textOf(settings.NetworkID);
  if (id !== '' && id !== network) refs.add('network', id, `${at}.NetworkID`, 'uses');
  addLinks(refs, settings.Links, `${at}.Links`);
}

/** Links are `container` or `container:alias`; the stored form `/container:/other/alias` is taken as well. */
function addLinks(refs: References, links: Json | undefined, at: string): void {
  for (const [i, link] of textsOf(links).entries()) {
    const colon = link.indexOf(':');
    const name = colon < 0 ? link : link.slice(0, colon);
    if (name === '') throw new GatewayError('body-malformed', `${at}[${i}] names no container`);
    refs.container(name, `${at}[${i}]`, 'uses');
  }
}

function addMounts(refs: References, mounts: Json | undefined, at: string): void {
  for (const [i, item] of listOf(mounts).entries()) {
    const mount = asObject(item);
    const source = textOf(mount.Source);
    if (source === '') continue;
    if (mount.Type === 'volume' || mount.Type === 'cluster') refs.add('volume', source, `${at}[${i}]`, 'uses');
    else if (mount.Type === 'image') refs.image(source, `${at}[${i}]`, 'uses');
  }
}

function addService(refs: References, body: JsonObject): void {
  const task = asObject(body.TaskTemplate);
  const container = asObject(task.ContainerSpec);
  const at = 'TaskTemplate.ContainerSpec';
  const image = textOf(container.Image);
  if (image !== '') refs.image(image, `${at}.Image`, 'uses');
  addMounts(refs, container.Mounts, `${at}.Mounts`);
  for (const [field, kind] of [
    ['Secrets', 'secret'],
    ['Configs', 'config'],
  ] as const) {
    const prefix = kind === 'secret' ? 'Secret' : 'Config';
    for (const [i, item] of listOf(container[field]).entries()) {
      // The id decides, the name is carried along: both must be allowed.
      addNamed(refs, kind, asObject(item)[`${prefix}ID`], `${at}.${field}[${i}].${prefix}ID`);
      addNamed(refs, kind, asObject(item)[`${prefix}Name`], `${at}.${field}[${i}].${prefix}Name`);
    }
  }
  const credential = asObject(asObject(container.Privileges).CredentialSpec);
  addNamed(refs, 'config', credential.Config, `${at}.Privileges.CredentialSpec.Config`);
  const attached = textOf(asObject(task.NetworkAttachmentSpec).ContainerID);
  if (attached !== '') refs.container(attached, 'TaskTemplate.NetworkAttachmentSpec.ContainerID', 'uses');
  addNamed(refs, 'plugin', asObject(task.PluginSpec).remote, 'TaskTemplate.PluginSpec.remote');
  for (const [list, place] of [
    [task.Networks, 'TaskTemplate.Networks'],
    [body.Networks, 'Networks'],
  ] as const) {
    for (const [i, item] of listOf(list).entries()) {
      addNamed(refs, 'network', asObject(item).Target, `${place}[${i}].Target`);
    }
  }
}

const EMPTY_OBJECT: JsonObject = Object.freeze(Object.create(null) as JsonObject);

function asObject(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : EMPTY_OBJECT;
}
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const textsOf = (value: Json | undefined): readonly string[] => listOf(value).map(textOf);
