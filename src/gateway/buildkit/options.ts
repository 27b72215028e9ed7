// Options of a frontend as the rest of the gateway knows them: the query of a classic build, labels, folders of the client. Pure.

import type { ReadPart } from '../../buildkit/solve.ts';
import { GatewayError } from '../../errors.ts';
import type { Build } from './build.ts';

/** Folders of the client a Dockerfile may come in: the option names another than the usual one. */
export function noteFolders(build: Build, { options, sessions }: Pick<ReadPart, 'options' | 'sessions'>): void {
  for (const session of sessions) if (build.sessions.size < MAX_FOLDERS) build.sessions.add(session);
  for (const folder of ['dockerfile', options.get('dockerfilekey')]) {
    if (folder !== undefined && build.dockerfileFolders.size < MAX_FOLDERS) build.dockerfileFolders.add(folder);
  }
}
const MAX_FOLDERS = 50;

export function refuseReservedLabels(options: ReadonlyMap<string, string>): void {
  for (const key of options.keys()) {
    if (!/^label:dockgate\./i.test(key)) continue;
    throw new GatewayError(
      'label-reserved',
      `${key}: labels that begin with dockgate. are written by the gateway and cannot be set; leave it out`,
    );
  }
}

/** The query of a classic build with the same options. */
export function queryOf(options: ReadonlyMap<string, string>): Record<string, string> {
  const query: Record<string, string> = {};
  const args: Record<string, string> = {};
  const labels: Record<string, string> = {};
  for (const [key, value] of options) {
    if (key.startsWith('build-arg:')) args[key.slice('build-arg:'.length)] = value;
    else if (key.startsWith('label:')) labels[key.slice('label:'.length)] = value;
  }
  const set = (name: string, value: string | undefined) => {
    if (value !== undefined && value !== '') query[name] = value;
  };
  set('dockerfile', options.get('filename'));
  set('target', options.get('target'));
  set('platform', options.get('platform'));
  set('networkmode', options.get('force-network-mode'));
  set('extrahosts', options.get('add-hosts'));
  if (Object.keys(args).length > 0) query.buildargs = JSON.stringify(args);
  if (Object.keys(labels).length > 0) query.labels = JSON.stringify(labels);
  return query;
}
