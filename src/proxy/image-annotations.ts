// Podman gives a container the annotations of its image, which OCI runtimes read: run.oci.* of crun names files of the host, and
// org.systemd.property.* its unit's properties. They are looked up before a container is judged, by Podman's own API, as the compatible one
// does not show them. Docker's engines give a container none of its image's.
import type { EngineCall, JsonObject } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { EngineClient } from './engine-client.ts';
import type { EngineDefaults } from './engine-defaults.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** A creation with the names of its image's annotations, where the engine is Podman. @throws {GatewayError} `engine-unreachable` */
export function withImageAnnotations(call: EngineCall, parts: Parts): EngineCall | Promise<EngineCall> {
  return call.action === 'container.create' ? annotated(call, parts) : call;
}

interface Parts {
  readonly engine: EngineClient;
  readonly engineDefaults: EngineDefaults;
}

async function annotated(call: EngineCall, { engine, engineDefaults }: Parts): Promise<EngineCall> {
  const kind = await engineDefaults.kind().catch(() => undefined);
  if (kind !== 'podman') return call;
  const written = (call.body as JsonObject | undefined)?.Image;
  const named = call.resources.filter(({ kind: of, at }) => of === 'image' && at === 'Image');
  // A short name may be an image of localhost to Podman: both readings of it are looked at.
  const names = new Set([
    ...named.map(({ id, name }) => id ?? name),
    ...(typeof written === 'string' && written !== '' ? [written] : []),
  ]);
  const found = new Set<string>();
  for (const name of names) for (const key of await annotationsOf(engine, name)) found.add(key);
  return found.size === 0 ? call : Object.freeze({ ...call, imageAnnotations: Object.freeze([...found]) });
}

async function annotationsOf(engine: EngineClient, name: string): Promise<readonly string[]> {
  const path = name
    .replace(/^sha256:/, '')
    .split('/')
    .map(encodeURIComponent)
    .join('/');
  const { status, body } = await engine.fetchJson(
    { method: 'GET', target: `/v4.0.0/libpod/images/${path}/json`, headers: [], body: undefined },
    { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
  );
  // No container can be made of a missing image.
  if (status === 404) return [];
  if (status !== 200) throw untold(status);
  const shown = JSON.parse(Buffer.from(body).toString('utf8')) as { readonly Annotations?: unknown };
  return typeof shown.Annotations === 'object' && shown.Annotations !== null ? Object.keys(shown.Annotations) : [];
}

const untold = (status: number): GatewayError =>
  new GatewayError('engine-unreachable', `the engine did not tell the annotations of an image (${status})`);
