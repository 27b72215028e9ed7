// The end of an ordinary call: the engine's answer goes to the caller, past what the gateway adds, hides and learns. A tenant's is
// served from the ledger's view (tenancy/respond.ts).

import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import type { CallerEnd, Outcome } from '../../proxy/types.ts';
import { leftOutWarning, warningCaller } from '../left-out.ts';
import type { LiveCall } from '../live-calls.ts';
import { MarkedCaller } from '../marked-caller.ts';
import type { GatewayParts } from '../parts.ts';
import type { End } from '../pipeline.ts';
import { redactingCaller } from '../redacting-caller.ts';
import { respondVersion } from '../respond.ts';
import { shownCaller } from '../shown-caller.ts';
import type { Recorded, Sent } from '../steps/values.ts';
import { refusingCaller } from '../tenancy/refusing-caller.ts';
import { type RespondOptions, respondToTenant } from '../tenancy/respond.ts';
import type { Told } from '../told.ts';
import { complete, fail, streamOpened } from './outcome.ts';
import { sentOf } from './request.ts';

export class PlainEnd implements End<Sent> {
  readonly #caller: CallerEnd;
  readonly #parts: GatewayParts;
  #marked: MarkedCaller | undefined;

  constructor(caller: CallerEnd, parts: GatewayParts) {
    this.#caller = caller;
    this.#parts = parts;
  }

  open(recorded: Recorded, running: LiveCall): Sent {
    if (recorded.decision.isUnread === false) throw notUpgraded(recorded);
    return sentOf(recorded, running);
  }

  async send(sent: Sent, running: LiveCall): Promise<void> {
    const parts = this.#parts;
    const marked = new MarkedCaller(this.#caller, sent, parts.apiVersions.maxMinor);
    this.#marked = marked;
    let ledger: readonly LedgerEntry[] | undefined;
    try {
      const { caller, settle } = sinkOf(sent, marked);
      const isLong = sent.call.operation.stream !== 'none';
      if (isLong) parts.live.hold(running, sent.principal);
      const options = {
        ending: running,
        ...(isLong ? { onHead: (status: number) => streamOpened(sent, status, parts) } : {}),
      };
      let outcome: Outcome;
      if (sent.tenantCall === undefined) outcome = await this.#answer(sent, caller, options);
      else {
        const refusing = refusingCaller(caller, sent.call, sent.tenantCall);
        const answer = await respondToTenant(sent.call, sent.request, refusing, sent.tenantCall, parts, options);
        ({ outcome } = answer);
        ledger = answer.changes;
      }
      const settled = settle();
      const cut = settled === undefined ? undefined : await settled;
      await complete(sent, outcome, running, { cut, ledger, told: marked.told }, parts);
    } catch (failed) {
      ledger ??= sent.tenantCall?.withdraw();
      fail(sent, this.#caller, failed, running, { ledger, told: marked.told }, parts);
    }
  }

  #answer({ call, request, engine }: Sent, caller: CallerEnd, options: RespondOptions): Promise<Outcome> {
    return call.action === 'system.version'
      ? respondVersion(request, caller, engine, this.#parts.apiVersions)
      : engine.forward(request, caller, options);
  }

  get told(): Told | undefined {
    return this.#marked?.told;
  }

  caller(): CallerEnd {
    return this.#caller;
  }

  abort(): void {
    this.#caller.abort();
  }
}

/** Ends the caller's side of an answer: what plugins look at is sent now. @throws {GatewayError} when nothing was sent */
type Settle = () => Promise<GatewayError | undefined> | undefined;

const NOTHING_HELD: Settle = () => undefined;

/** What stands between the engine and the caller, nearest to the caller first: marks, plugins, rules that hide, warnings. */
function sinkOf(sent: Sent, marked: MarkedCaller): { readonly caller: CallerEnd; readonly settle: Settle } {
  const { call, responses, watch, decision } = sent;
  const hide = decision.obligations.redact;
  const warning = leftOutWarning(call.leftOut);
  if (responses === undefined && watch === undefined && hide === undefined && warning === undefined)
    return { caller: marked, settle: NOTHING_HELD };
  const shown =
    responses === undefined && watch === undefined ? undefined : shownCaller(marked, call, responses, watch);
  const redacting = hide === undefined ? undefined : redactingCaller(shown ?? marked, call.operation, hide);
  const whole = redacting ?? shown ?? marked;
  return {
    caller: warning === undefined ? whole : warningCaller(whole, call.operation.id, warning),
    settle() {
      redacting?.check();
      return shown?.settle();
    },
  };
}

/** A door of BuildKit that is read opens by an upgrade alone: there is nothing to send without one. The engine's words come first. */
const notUpgraded = ({ call }: Recorded): GatewayError =>
  new GatewayError('upgrade-not-allowed', `no upgrade proto in request: ${call.action} wants Upgrade: h2c`);
