// How far read-only binds of an engine reach. From API 1.44 on an engine makes mounts below a read-only bind read-only too, but only
// where its kernel and the container's runtime can; elsewhere it says nothing and leaves them writable. It tells which can, and
// decides by the same facts. A swarm drops the field that would demand it (BindOptions.ReadOnlyForceRecursive), and Binds have none.
import type { EngineCall, Json, JsonObject, ReadOnlyDepth } from './types.ts';

/** First kernel with mount_setattr(2) and AT_RECURSIVE. */
const FIRST_KERNEL = [5, 12] as const;
const FEATURES = 'org.opencontainers.runtime-spec.features';

/** Of an engine that cannot, or does not say. */
export const NO_DEPTH: ReadOnlyDepth = Object.freeze({ byDefault: '', runtimes: Object.freeze([]) });

/** @param info the engine's answer to GET /info */
export function deepRuntimes(info: unknown): ReadOnlyDepth {
  const byDefault = text(member(info, 'DefaultRuntime'));
  const runtimes = member(info, 'Runtimes');
  const names = typeof runtimes === 'object' && runtimes !== null ? Object.keys(runtimes) : [];
  const isDeep = isNewEnough(text(member(info, 'KernelVersion')));
  return Object.freeze({
    byDefault,
    runtimes: isDeep ? names.filter((name) => knowsRecursive(member(runtimes, name))) : [],
  });
}

function isNewEnough(kernel: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  const [first, second] = FIRST_KERNEL;
  return Number(major) > first || (Number(major) === first && Number(minor) >= second);
}

/** The runtime lists `rro` among its options of mounts. */
function knowsRecursive(runtime: unknown): boolean {
  try {
    const features: unknown = JSON.parse(text(member(member(runtime, 'status'), FEATURES)));
    const options = member(features, 'mountOptions');
    return Array.isArray(options) && options.includes('rro');
  } catch {
    return false;
  }
}

/** Whether it matters to the call: it makes a read-only bind, or uses one that is there. */
export function dependsOnDepth({ operation, body, resources }: EngineCall): boolean {
  if (operation.class === 'read') return false;
  const host = objectOf(objectOf(body).HostConfig);
  const task = objectOf(objectOf(objectOf(body).TaskTemplate).ContainerSpec);
  return (
    listOf(host.Binds).some((bind) => typeof bind === 'string' && /:(?:.*,)?ro(?:,|$)/.test(bind)) ||
    [...listOf(host.Mounts), ...listOf(task.Mounts)].some((mount) => objectOf(mount).ReadOnly === true) ||
    resources.some(({ made, remake }) => made !== undefined || remake !== undefined)
  );
}

const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
