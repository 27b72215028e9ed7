// Keys of the gateway's own in state.db: sealed as the signing keys are, with a key that is not in the database.
import { randomBytes } from 'node:crypto';
import type { Seal } from '../identity/seal.ts';
import type { Store } from '../store/open.ts';

const KEY_BYTES = 32;
/** A compact JWE has five parts. */
const SEALED = /^[\w-]+(?:\.[\w-]*){4}$/;

/** Whether a key of this name is sealed already. */
export const isSettingSealed = ({ get }: Store['settings'], name: string): boolean => SEALED.test(get(name) ?? '');

/**
 * A key of 32 bytes, made when it is first asked for. One that an earlier version kept in the clear is sealed now.
 *
 * @throws {GatewayError} `config-invalid` where it was sealed with another key
 */
export async function sealedSetting({ get, set }: Store['settings'], seal: Seal, name: string): Promise<Uint8Array> {
  const stored = get(name);
  if (stored !== undefined && SEALED.test(stored)) return Buffer.from(await seal.open(stored), 'base64url');
  const text = stored ?? randomBytes(KEY_BYTES).toString('base64url');
  set(name, await seal.seal(text));
  return Buffer.from(text, 'base64url');
}
