// Asks a Rego policy that `opa build -t wasm` compiled, in WebAssembly of this process: no server beside it. Its input is the request as
// plugins see it. What is not a plain yes denies: undefined, another form, an error, no answer in time.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import {
  type AdmissionRequest,
  definePlugin,
  deny,
  type Json,
  type JsonObject,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  /** A bundle of `opa build`, or a compiled policy alone. */
  readonly bundle: string;
  /** SHA-256 the file must have. */
  readonly sha256?: string;
  /** The rule that is asked, as it was given to `opa build -e`; the first one where left out. */
  readonly entrypoint?: string;
  /** Taken for `data` in place of the bundle's. */
  readonly data?: JsonObject;
  readonly actions: readonly string[];
}

/** Largest policy with its data, in bytes. */
const MAX_BYTES = 32 * 1024 * 1024;
const BLOCK = 512;
/** The first bytes of a file that is compressed, and of one that is WebAssembly. */
const GZIP = 0x1f8b;
const WASM = 0x0061736d;

let policy: Awaited<ReturnType<typeof loadPolicy>> | undefined;
let entrypoint: number | string | undefined;

/** Files of a tar archive as `opa build` writes it: plain names, no links. */
function* filesOf(tar: Buffer): Generator<readonly [name: string, bytes: Buffer]> {
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const name = tar.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    if (name === '') return;
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    if (!Number.isSafeInteger(size) || size < 0 || at + BLOCK + size > tar.length) throw new Error('it is cut off');
    yield [name.replace(/^\//, ''), tar.subarray(at + BLOCK, at + BLOCK + size)];
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
}

function readBundle({ bundle, sha256 }: Settings): { wasm: Buffer; data: JsonObject } {
  const bytes = readFileSync(bundle);
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== undefined && sha256.toLowerCase() !== hash)
    throw new Error(`${bundle} has the SHA-256 ${hash}, and the settings pin ${sha256}`);
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === WASM) return { wasm: bytes, data: {} };
  if (bytes.length < 2 || bytes.readUInt16BE(0) !== GZIP)
    throw new Error(`${bundle} is neither a bundle of opa build -t wasm nor a compiled policy`);
  const files = new Map(filesOf(gunzipSync(bytes, { maxOutputLength: MAX_BYTES })));
  const wasm = files.get('policy.wasm');
  if (wasm === undefined) throw new Error(`${bundle} has no policy.wasm: build it with opa build -t wasm -e RULE`);
  const data = files.get('data.json');
  return { wasm, data: data === undefined ? {} : objectOf(JSON.parse(data.toString('utf8')) as Json) };
}

async function setup({ config }: { readonly config: Settings }): Promise<void> {
  const { wasm, data } = readBundle(config);
  policy = await loadPolicy(wasm);
  policy.setData({ ...(config.data ?? data) });
  const known = Object.keys((policy as unknown as { entrypoints: Record<string, number> }).entrypoints);
  if (config.entrypoint !== undefined && !known.includes(config.entrypoint))
    throw new Error(`the policy has no entrypoint ${config.entrypoint} (known: ${known.join(', ')})`);
  entrypoint = config.entrypoint ?? known[0];
}

function validate(request: AdmissionRequest): Verdict {
  if (policy === undefined) throw new Error('there is no policy');
  const results = policy.evaluate(request, entrypoint) as readonly { readonly result?: Json }[] | null;
  const result = results?.length === 1 ? results[0]?.result : undefined;
  if (result === true || objectOf(result).allow === true) return PASS;
  const { message } = objectOf(result);
  const why = result === undefined ? `${entrypoint} is undefined for this call` : `${entrypoint} does not allow it`;
  return deny('opa-denied', textOf(message) || why);
}

export default definePlugin<Settings>({
  meta: {
    name: 'opa-wasm',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Asks a Rego policy compiled by opa build -t wasm',
  },
  match: { actions: ['*'] },
  matchOf: ({ actions }) => ({ validate: actions }),
  config: {
    type: 'object',
    properties: {
      bundle: { type: 'string', pattern: '^/' },
      sha256: { type: 'string', pattern: '^[0-9a-fA-F]{64}$' },
      entrypoint: { type: 'string' },
      data: { type: 'object' },
      actions: { type: 'array', items: { type: 'string' }, default: ['*.create', 'build.run'] },
    },
    required: ['bundle'],
    additionalProperties: false,
  },
  setup,
  validate,
});
