// Mount, as HostConfig.Mounts and ContainerSpec.Mounts hold it. Engine API 1.25 to 1.56.

import type { Schema, StructSchema } from '../schema.ts';
import { bool, choice, empty, int64, list, requiredChoice, struct, text, textMap, texts, uint32 } from '../schema.ts';

const driver = struct('DriverConfig', { Name: text, Options: textMap }, { secure: true });
const secure = { secure: true };

const PROPAGATIONS = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'];

/** Most of a mount is the same in a container and in a service. */
const mountOf = (type: Schema, propagation: Schema): StructSchema =>
  struct(
    'Mount',
    {
      Type: type,
      Source: text,
      Target: text,
      ReadOnly: bool,
      Consistency: text,
      BindOptions: struct(
        'BindOptions',
        {
          Propagation: propagation,
          NonRecursive: bool,
          CreateMountpoint: bool,
          ReadOnlyNonRecursive: bool,
          ReadOnlyForceRecursive: bool,
        },
        secure,
      ),
      VolumeOptions: struct(
        'VolumeOptions',
        { NoCopy: bool, Labels: textMap, Subpath: text, DriverConfig: driver },
        secure,
      ),
      ImageOptions: struct('ImageOptions', { Subpath: text }, secure),
      TmpfsOptions: struct('TmpfsOptions', { SizeBytes: int64, Mode: uint32, Options: list(texts) }, secure),
      ClusterOptions: empty,
    },
    secure,
  );

/** Of a container: the engine takes the words exactly as they are documented. */
export const mountSchema = mountOf(text, text);

/** Of a service: the swarm takes the words in any case, and a missing type for a bind. */
export const serviceMountSchema = mountOf(
  requiredChoice('bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image'),
  choice(...PROPAGATIONS),
);
