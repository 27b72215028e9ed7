// Messages between the gateway and the thread or process a plugin runs in. All are plain JSON.
import type { Json } from '../../engine/types.ts';
import type { Hook } from './host.ts';

/** To the plugin's side. */
export type ToGuest =
  | {
      readonly kind: 'configure';
      readonly config: Json | undefined;
      readonly name: string;
      readonly env: Readonly<Record<string, string>>;
      /** Shown with the grant `sockets` alone. */
      readonly engineSocket?: string;
    }
  | { readonly kind: 'ask'; readonly id: number; readonly hook: Hook; readonly input: string }
  | { readonly kind: 'reply'; readonly id: number; readonly value?: Json; readonly error?: string }
  | { readonly kind: 'ping' }
  | { readonly kind: 'close' };

/** What a hook may ask of the gateway while it runs. */
export type Wish =
  | { readonly kind: 'engine'; readonly action: string; readonly parameters: Readonly<Record<string, string>> }
  | {
      readonly kind: 'fetch';
      readonly url: string;
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | { readonly kind: 'store-get'; readonly key: string }
  | { readonly kind: 'store-set'; readonly key: string; readonly value: Json; readonly ttlMs?: number };

/** From the plugin's side. */
export type FromGuest =
  | { readonly kind: 'described'; readonly description: Json }
  | { readonly kind: 'ready'; readonly actions?: Partial<Record<Hook, readonly string[]>> }
  | { readonly kind: 'refused'; readonly message: string }
  | {
      readonly kind: 'answered';
      readonly id: number;
      readonly value?: Json;
      readonly annotations: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'threw'; readonly id: number; readonly message: string }
  /** A hook begins. What keeps the plugin's side busy afterwards is most likely this one. */
  | { readonly kind: 'started'; readonly id: number }
  /** `ask` is the hook that wishes; none while the plugin is set up. */
  | { readonly kind: 'wish'; readonly id: number; readonly ask?: number; readonly wish: Wish }
  | {
      readonly kind: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly message: string;
      readonly data?: Json;
    }
  | { readonly kind: 'pong' }
  | { readonly kind: 'closed' };
