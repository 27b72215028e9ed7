// Mount, as HostConfig.Mounts and ContainerSpec.Mounts hold it. Engine API 1.25 to 1.56.
import { bool, empty, int64, list, struct, text, textMap, texts, uint32 } from '../schema.ts';

const driver = struct('DriverConfig', { Name: text, Options: textMap }, { secure: true });
const secure = { secure: true };

export const mountSchema = struct(
  'Mount',
  {
    Type: text,
    Source: text,
    Target: text,
    ReadOnly: bool,
    Consistency: text,
    BindOptions: struct(
      'BindOptions',
      {
        Propagation: text,
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
