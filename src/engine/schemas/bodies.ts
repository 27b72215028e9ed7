// Every body of the operation table by the name the table gives it, and whether an empty body is one.

import type { Schema } from '../schema.ts';
import { list, struct, text, texts } from '../schema.ts';
import {
  checkpointCreateRequest,
  containerConfig,
  containerCreateRequest,
  copyConfig,
  execConfig,
  execStartConfig,
} from './container.ts';
import { containerUpdateRequest } from './host-config.ts';
import { networkConnectRequest, networkCreateRequest, networkDisconnectRequest } from './network.ts';
import { serviceSpec } from './service.ts';
import {
  configSpec,
  nodeSpec,
  secretSpec,
  swarmInitRequest,
  swarmJoinRequest,
  swarmSpec,
  swarmUnlockRequest,
} from './swarm.ts';
import { volumeCreateRequest, volumeUpdateRequest } from './volume.ts';

/** Body of POST /auth: credentials, never logged. The wire names are in lower case. */
const authConfig = struct('AuthConfig', {
  username: text,
  password: text,
  auth: text,
  email: text,
  serveraddress: text,
  identitytoken: text,
  registrytoken: text,
});

const pluginPrivileges = list(
  struct('PluginPrivilege', { Name: text, Description: text, Value: texts }, { secure: true }),
);

/** Schema of a body by its name in the operation table. */
export const BODY_SCHEMAS: ReadonlyMap<string, Schema> = new Map<string, Schema>([
  ['AuthConfig', authConfig],
  ['CheckpointCreateRequest', checkpointCreateRequest],
  ['ConfigSpec', configSpec],
  ['ContainerConfig', containerConfig],
  ['ContainerCreateRequest', containerCreateRequest],
  ['ContainerUpdateRequest', containerUpdateRequest],
  ['CopyConfig', copyConfig],
  ['ExecConfig', execConfig],
  ['ExecStartConfig', execStartConfig],
  ['NetworkConnectRequest', networkConnectRequest],
  ['NetworkCreateRequest', networkCreateRequest],
  ['NetworkDisconnectRequest', networkDisconnectRequest],
  ['NodeSpec', nodeSpec],
  ['PluginPrivilege[]', pluginPrivileges],
  ['SecretSpec', secretSpec],
  ['ServiceSpec', serviceSpec],
  ['SwarmInitRequest', swarmInitRequest],
  ['SwarmJoinRequest', swarmJoinRequest],
  ['SwarmSpec', swarmSpec],
  ['SwarmUnlockRequest', swarmUnlockRequest],
  ['VolumeCreateRequest', volumeCreateRequest],
  ['VolumeUpdateRequest', volumeUpdateRequest],
  ['string[]', texts],
]);

/** Bodies the engine refuses to do without: it answers 400 to an empty one. All others then have their zero value. */
export const BODIES_REQUIRED: ReadonlySet<string> = new Set(['ContainerCreateRequest', 'AuthConfig']);
