// Volumes, plain and of the cluster. Engine API 1.40 to 1.56; cluster volumes since 1.42.
import { empty, int64, list, struct, text, textMap, texts } from '../schema.ts';

const secure = { secure: true };
const topologies = list(struct('Topology', { Segments: textMap }, secure));

const clusterVolumeSpec = struct(
  'ClusterVolumeSpec',
  {
    Group: text,
    AccessMode: struct(
      'AccessMode',
      {
        Scope: text,
        Sharing: text,
        MountVolume: struct('TypeMount', { FsType: text, MountFlags: texts }, secure),
        BlockVolume: empty,
      },
      secure,
    ),
    AccessibilityRequirements: struct('TopologyRequirement', { Requisite: topologies, Preferred: topologies }, secure),
    CapacityRange: struct('CapacityRange', { RequiredBytes: int64, LimitBytes: int64 }),
    Secrets: list(struct('VolumeSecret', { Key: text, Secret: text }, secure)),
    Availability: text,
  },
  secure,
);

/** Body of POST /volumes/create. */
export const volumeCreateRequest = struct('VolumeCreateRequest', {
  Name: text,
  Driver: text,
  DriverOpts: textMap,
  Labels: textMap,
  ClusterVolumeSpec: clusterVolumeSpec,
});

/** Body of PUT /volumes/{name}. */
export const volumeUpdateRequest = struct('VolumeUpdateRequest', { Spec: clusterVolumeSpec });
