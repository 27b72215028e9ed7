// The end of a call that upgrades its connection (`docker run -it`, exec, BuildKit's doors): its bytes pass in both directions until
// one side is done. Without an upgrade at the engine it ends as an ordinary answer, and the connection may stay.
import type { Duplex } from 'node:stream';
import type { StreamWatch } from '../../admission/streams.ts';
import { upgradesOn } from '../../engine/classify.ts';
import { GatewayError } from '../../errors.ts';
import { socketCaller } from '../../proxy/caller-socket.ts';
import { type HijackWatch, spliceHijack } from '../../proxy/hijack.ts';
import type { CallerEnd, Outcome } from '../../proxy/types.ts';
import { AUDIT_ID_HEADER, reasonOf } from '../answer.ts';
import { type Arrival, headerValues } from '../arrival.ts';
import { type Mediation, mediationOf } from '../buildkit/mediate.ts';
import type { LiveCall } from '../live-calls.ts';
import { MarkedCaller } from '../marked-caller.ts';
import type { GatewayParts } from '../parts.ts';
import type { End } from '../pipeline.ts';
import { tellsTerminal } from '../recorded.ts';
import { asGatewayError } from '../refusal.ts';
import type { Recorded, Sent } from '../steps/values.ts';
import { refusingCaller } from '../tenancy/refusing-caller.ts';
import { complete, fail, streamOpened } from './outcome.ts';
import { sentOf } from './request.ts';

/** A connection that left the HTTP server. */
export interface UpgradeSocket {
  readonly socket: Duplex;
  /** Bytes behind the request's body; undefined while the body was not read. */
  read(): Uint8Array | undefined;
  /** Reads past the body; returns what hands the connection back, or undefined when it has to be closed. */
  giveBack(): Promise<(() => void) | undefined>;
}

export interface Upgraded extends Sent {
  /** The protocol the engine is asked for: its word, not the caller's. */
  readonly protocol: string;
  readonly mediation: Mediation | undefined;
}

/** The outcome of a call whose caller left before there was an answer. */
const GONE: Outcome = { status: 0, bytesIn: 0, bytesOut: 0, end: 'caller-gone' };

export class UpgradedEnd implements End<Upgraded> {
  readonly #left: UpgradeSocket;
  readonly #parts: GatewayParts;
  readonly #gone = new AbortController();
  #caller: Promise<CallerEnd> | undefined;

  constructor(left: UpgradeSocket, parts: GatewayParts) {
    this.#left = left;
    this.#parts = parts;
    left.socket.on('error', () => left.socket.destroy());
    left.socket.once('close', this.#onClose);
  }

  readonly #onClose = (): void => this.#gone.abort();

  open(recorded: Recorded, running: LiveCall): Upgraded {
    const protocol = protocolOf(recorded, recorded.arrival);
    const sent = sentOf(recorded, running);
    return Object.freeze({ ...sent, protocol, mediation: mediationOf(sent, this.#parts) });
  }

  async send(sent: Upgraded, running: LiveCall): Promise<void> {
    const parts = this.#parts;
    const { socket } = this.#left;
    try {
      parts.live.hold(running, sent.principal);
      // Bytes stay in the socket's buffer until the stream begins, but that a caller goes away must be noticed.
      socket.read(0);
      const answer = await sent.engine.upgrade(sent.mediation?.request ?? sent.request, sent.protocol, {
        signal: AbortSignal.any([running.signal, this.#gone.signal]),
      });
      if (answer.kind === 'answer') {
        const marked = new MarkedCaller(await this.caller(), sent, parts.apiVersions.maxMinor);
        const end = sent.tenantCall === undefined ? marked : refusingCaller(marked, sent.call, sent.tenantCall);
        const outcome = await answer.deliver(end);
        await complete(sent, outcome, running, { told: marked.told }, parts);
        return;
      }
      streamOpened(sent, 101, parts);
      sent.recording?.began(tellsTerminal(answer.headers));
      socket.write(upgradeHead(answer.reason, answer.headers, sent), 'latin1');
      const early = this.#left.read();
      if (early !== undefined && early.length > 0) socket.unshift(early);
      parts.meter.streamOpened();
      try {
        const { told, watch } = watchHijack(sent.watch);
        const moved =
          sent.mediation === undefined
            ? await spliceHijack(socket, answer.socket, { signal: running.signal, watch })
            : await sent.mediation.run(socket, answer.socket, running.signal);
        await complete(sent, { status: 101, ...moved }, running, { cut: told.cut }, parts);
      } finally {
        parts.meter.streamClosed();
      }
    } catch (failed) {
      if (socket.destroyed && running.endedBy === undefined) await complete(sent, GONE, running, {}, parts);
      else fail(sent, await this.caller(), failed, running, {}, parts);
    }
  }

  /** The raw socket is taken for an ordinary answer only when one is due: an upgraded one must keep its bytes. */
  caller(): Promise<CallerEnd> {
    this.#caller ??= this.#left.giveBack().then((giveBack) => socketCaller(this.#left.socket, giveBack));
    return this.#caller;
  }

  abort(): void {
    this.#left.socket.destroy();
  }

  over(): void {
    this.#left.socket.off('close', this.#onClose);
  }
}

/** Watches a hijacked stream; `cut` tells what ended it. */
function watchHijack(watch: StreamWatch | undefined) {
  const told: { cut?: GatewayError } = {};
  if (watch === undefined) return { told, watch: undefined };
  const see: HijackWatch['see'] = (direction, bytes) =>
    watch.see(direction, bytes).catch((error: unknown) => {
      told.cut ??= asGatewayError(error);
      throw error;
    });
  return { told, watch: { watches: (direction: 'in' | 'out') => watch.watches(direction), see } };
}

/** The protocol a judged call may upgrade to. */
function protocolOf({ call }: Recorded, arrival: Arrival): string {
  const asked = headerValues(arrival.rawHeaders, 'upgrade');
  switch (upgradesOn(call)) {
    case 'h2c':
      if (asked.length !== 1 || asked[0] !== 'h2c') {
        const told = asked[0] === undefined ? 'the protocol is' : `protocol ${asked[0].slice(0, 60)}`;
        throw new GatewayError('upgrade-not-allowed', `${told} not supported: ${call.action} wants Upgrade: h2c`);
      }
      return 'h2c';
    case 'hijack':
      return call.operation.method === 'GET' ? 'websocket' : 'tcp';
    case 'none':
      throw new GatewayError('upgrade-not-allowed', `${call.action} does not upgrade its connection`);
  }
}

function upgradeHead(reason: string, headers: readonly string[], { protocol, auditId }: Upgraded): string {
  let head = `HTTP/1.1 101 ${reason === '' ? reasonOf(101) : reason}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (/^(connection|upgrade)$/i.test(headers[i] as string)) continue;
    head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  }
  return `${head}Connection: Upgrade\r\nUpgrade: ${protocol}\r\n${AUDIT_ID_HEADER}: ${auditId}\r\n\r\n`;
}
