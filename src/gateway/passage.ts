// One call on its way through the steps: the furthest value they reached, and what it holds until it is over.
import type { PluginChain } from '../admission/chain.ts';
import type { StreamWatch } from '../admission/streams.ts';
import type { Recording } from '../audit/transcript/transcript.ts';
import { GatewayError } from '../errors.ts';
import type { Lane, Place } from '../proxy/lanes.ts';
import type { SocketOffer } from './own-sockets.ts';
import type { Arrived, Reached } from './steps/values.ts';
import type { TenantCall } from './tenancy/tenant-call.ts';
import type { Told } from './told.ts';

export class Passage {
  readonly arrived: Arrived;
  #reached: Reached;
  #place: Place | undefined;
  #leavePlugins: (() => void) | undefined;
  #watch: StreamWatch | undefined;
  #tenantCall: TenantCall | undefined;
  #ownSocket: SocketOffer | undefined;
  #recording: Recording | undefined;

  constructor(arrived: Arrived) {
    this.arrived = arrived;
    this.#reached = arrived;
  }

  /** The furthest value. */
  get reached(): Reached {
    return this.#reached;
  }

  /** A step is over. */
  to<Value extends Reached>(value: Value): Value {
    this.#reached = value;
    return value;
  }

  /** Counts the call for its identity. @throws {GatewayError} `too-many-calls` */
  take(holder: string, inFlight: Lane): void {
    const place = inFlight.tryTake(holder);
    if (place === undefined)
      throw new GatewayError('too-many-calls', `too many calls at once: ${inFlight.why(holder)}`, { retryAfterS: 1 });
    this.#place = place;
  }

  /** From here on the call is seen by plugins of this load, which stay until it is over, also when others are loaded. */
  enter(plugins: PluginChain): void {
    this.#leavePlugins = plugins.enter();
  }

  /** No plugin sees more of the call. */
  leavePlugins(): void {
    this.#leavePlugins?.();
    this.#leavePlugins = undefined;
  }

  /** A plugin watches the stream until the call is over. */
  watch(watch: StreamWatch | undefined): void {
    this.#watch = watch;
  }

  /** A tenant's call keeps the names it uses until it is over. */
  keep(tenantCall: TenantCall): void {
    this.#tenantCall = tenantCall;
  }

  /** A container may get a socket in the place of the engine's. */
  offer(ownSocket: SocketOffer | undefined): void {
    this.#ownSocket = ownSocket;
  }

  /** The session's transcript is written until the call is over. */
  transcribe(recording: Recording): void {
    this.#recording = recording;
  }

  /** The call is over. @param told what the engine's answer tells */
  end(told?: Told): void {
    void this.#recording?.end().catch(() => undefined);
    if (this.#watch === undefined) this.leavePlugins();
    else void this.#watch.end().then(() => this.leavePlugins());
    this.#tenantCall?.release();
    if (this.#ownSocket?.path !== undefined)
      this.#ownSocket.end(told?.isRefusal === true ? 'refused' : told?.facts().madeId);
    this.#place?.release();
  }
}
