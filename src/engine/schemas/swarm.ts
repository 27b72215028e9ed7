// Bodies of swarm, node, secret and config operations. Engine API 1.40 to 1.56.
import { bool, bytes, choice, int, int64, list, struct, text, textMap, texts, uint32, uint64 } from '../schema.ts';
import { driver } from './service.ts';

const secure = { secure: true };
const availability = choice('active', 'pause', 'drain');
const annotations = { Name: text, Labels: textMap };

/** Body of POST /swarm/update, and Spec of an init. */
export const swarmSpec = struct('SwarmSpec', {
  ...annotations,
  Orchestration: struct('OrchestrationConfig', { TaskHistoryRetentionLimit: int64 }),
  Raft: struct('RaftConfig', {
    SnapshotInterval: uint64,
    KeepOldSnapshots: uint64,
    LogEntriesForSlowFollowers: uint64,
    ElectionTick: int,
    HeartbeatTick: int,
  }),
  Dispatcher: struct('DispatcherConfig', { HeartbeatPeriod: int64 }),
  CAConfig: struct(
    'CAConfig',
    {
      NodeCertExpiry: int64,
      ExternalCAs: list(
        struct('ExternalCA', { Protocol: choice('cfssl'), URL: text, Options: textMap, CACert: text }, secure),
      ),
      SigningCACert: text,
      SigningCAKey: text,
      ForceRotate: uint64,
    },
    secure,
  ),
  TaskDefaults: struct('TaskDefaults', { LogDriver: driver }, secure),
  EncryptionConfig: struct('EncryptionConfig', { AutoLockManagers: bool }),
});

/** Body of POST /swarm/init. */
export const swarmInitRequest = struct('SwarmInitRequest', {
  ListenAddr: text,
  AdvertiseAddr: text,
  DataPathAddr: text,
  DataPathPort: uint32,
  ForceNewCluster: bool,
  Spec: swarmSpec,
  AutoLockManagers: bool,
  Availability: availability,
  DefaultAddrPool: texts,
  SubnetSize: uint32,
});

/** Body of POST /swarm/join. */
export const swarmJoinRequest = struct('SwarmJoinRequest', {
  ListenAddr: text,
  AdvertiseAddr: text,
  DataPathAddr: text,
  RemoteAddrs: texts,
  JoinToken: text,
  Availability: availability,
});

/** Body of POST /swarm/unlock. */
export const swarmUnlockRequest = struct('SwarmUnlockRequest', { UnlockKey: text });

/** Body of POST /nodes/{id}/update. */
export const nodeSpec = struct('NodeSpec', {
  ...annotations,
  Role: choice('worker', 'manager'),
  Availability: availability,
});

/** Body of POST /secrets/create and update. */
export const secretSpec = struct('SecretSpec', { ...annotations, Data: bytes, Driver: driver, Templating: driver });

/** Body of POST /configs/create and update. */
export const configSpec = struct('ConfigSpec', { ...annotations, Data: bytes, Templating: driver });
