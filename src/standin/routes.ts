// The routes of the stand-in. A client of an engine without one of them reads so in a 501.
import { type Call, Created, containerOf, Empty, execOf, type Handler, notThere } from './call.ts';
import * as containers from './container-routes.ts';
import { inspectContainer, inspectExec, showInfo, showVersion } from './describe.ts';
import * as images from './image-routes.ts';
import * as objects from './object-routes.ts';
import * as streams from './stream-routes.ts';

const pruned = () => ({ SpaceReclaimed: 0 });
const nothing = () => [];

/** Method and path, version prefix removed. First match wins. */
export const ROUTES: readonly [string, RegExp, Handler][] = [
  ['GET', /^\/version$/, showVersion],
  ['GET', /^\/info$/, ({ state }) => showInfo(state)],
  ['GET', /^\/events$/, streams.streamEvents],
  ['GET', /^\/system\/df$/, () => ({ LayersSize: 0, Images: [], Containers: [], Volumes: [], BuildCache: [] })],
  ['POST', /^\/auth$/, () => ({ Status: 'Login Succeeded', IdentityToken: '' })],
  ['GET', /^\/images\/json$/, images.listImages],
  ['GET', /^\/images\/(.+)\/json$/, images.showImage],
  ['GET', /^\/images\/(.+)\/history$/, nothing],
  ['GET', /^\/images\/search$/, nothing],
  ['POST', /^\/images\/create$/, images.pull],
  ['POST', /^\/images\/load$/, images.load],
  ['POST', /^\/images\/(.+)\/tag$/, images.tag],
  ['POST', /^\/images\/(.+)\/push$/, images.push],
  ['DELETE', /^\/images\/(.+)$/, images.removeImage],
  ['GET', /^\/distribution\/(.+)\/json$/, images.distribution],
  ['POST', /^\/build$/, images.build],
  ['POST', /^\/(?:images|containers|networks|volumes|build)\/prune$/, pruned],
  ['POST', /^\/commit$/, images.commit],
  ['GET', /^\/networks$/, objects.listNetworks],
  ['POST', /^\/networks\/create$/, objects.createNetwork],
  ['POST', /^\/networks\/([^/]+)\/connect$/, objects.connectNetwork],
  ['POST', /^\/networks\/([^/]+)\/disconnect$/, objects.disconnectNetwork],
  ['GET', /^\/networks\/([^/]+)$/, objects.showNetwork],
  ['DELETE', /^\/networks\/([^/]+)$/, objects.removeNetwork],
  ['GET', /^\/volumes$/, objects.listVolumes],
  ['POST', /^\/volumes\/create$/, objects.createVolume],
  ['GET', /^\/volumes\/([^/]+)$/, objects.showVolume],
  ['DELETE', /^\/volumes\/([^/]+)$/, objects.removeVolume],
  ['GET', /^\/plugins$/, nothing],
  ['GET', /^\/(?:services|tasks|nodes|secrets|configs|swarm)$/, objects.noSwarm],
  ['POST', /^\/(?:services|secrets|configs)\/create$/, objects.noSwarm],
  // `docker inspect` asks for every kind of object in turn until one is not missing.
  ['GET', /^\/(?:plugins|services|tasks|nodes|secrets|configs)\/([^/]+)(?:\/json)?$/, notThere],
  ['GET', /^\/containers\/json$/, containers.listContainers],
  ['POST', /^\/containers\/create$/, containers.create],
  ['GET', /^\/containers\/([^/]+)\/json$/, (call) => inspectContainer(containerOf(call))],
  ['POST', /^\/containers\/([^/]+)\/start$/, start],
  ['POST', /^\/containers\/([^/]+)\/stop$/, containers.stop],
  ['POST', /^\/containers\/([^/]+)\/restart$/, containers.restart],
  ['POST', /^\/containers\/([^/]+)\/pause$/, containers.setPaused(true)],
  ['POST', /^\/containers\/([^/]+)\/unpause$/, containers.setPaused(false)],
  ['POST', /^\/containers\/([^/]+)\/rename$/, containers.rename],
  ['POST', /^\/containers\/([^/]+)\/update$/, containers.update],
  ['POST', /^\/containers\/([^/]+)\/kill$/, containers.kill],
  ['POST', /^\/containers\/([^/]+)\/wait$/, containers.wait],
  ['POST', /^\/containers\/([^/]+)\/attach$/, streams.attach],
  ['POST', /^\/containers\/([^/]+)\/resize$/, (call) => void containerOf(call)],
  ['GET', /^\/containers\/([^/]+)\/logs$/, streams.logs],
  ['GET', /^\/containers\/([^/]+)\/top$/, containers.top],
  ['GET', /^\/containers\/([^/]+)\/changes$/, containers.changes],
  ['GET', /^\/containers\/([^/]+)\/archive$/, containers.archive],
  ['HEAD', /^\/containers\/([^/]+)\/archive$/, containers.archive],
  ['PUT', /^\/containers\/([^/]+)\/archive$/, containers.archive],
  ['DELETE', /^\/containers\/([^/]+)$/, containers.remove],
  ['POST', /^\/containers\/([^/]+)\/exec$/, createExec],
  ['POST', /^\/exec\/([^/]+)\/start$/, streams.startExec],
  ['GET', /^\/exec\/([^/]+)\/json$/, (call) => inspectExec(execOf(call))],
  ['POST', /^\/exec\/([^/]+)\/resize$/, (call) => void execOf(call)],
];

/** Bodies that are no JSON: read past, however large. */
export const UPLOADS = /^\/(?:build|images\/load|containers\/[^/]+\/archive)$/;

function start(call: Call): Empty {
  return new Empty(call.state.start(containerOf(call)) ? 204 : 304);
}

function createExec(call: Call): Created {
  return new Created({ Id: call.state.createExec(containerOf(call), call.body).id });
}
