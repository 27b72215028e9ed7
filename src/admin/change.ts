// The one way a change is made: checked, recorded in the audit, performed, acknowledged - and one after the other.
// What ends rights is done also where it cannot be recorded: a full disk must keep no revoked token alive.
import type { Recorder } from '../audit/event.ts';
import { type ErrorCode, GatewayError, statusOf } from '../errors.ts';
import type { ChangeContext } from './services.ts';

export interface Change<T> {
  readonly action: string;
  readonly resource: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  /** Refuses an impossible change before it is recorded as allowed. */
  check(): void;
  /** Done again after a failure where it ends rights: doing so twice is as once. */
  perform(): T | Promise<T>;
  /** What only the outcome knows, recorded as a second row before the change is acknowledged. */
  outcome?(result: T): { readonly resourceId: string };
}

/** Performs a change as said above. */
export type PerformChange = <T>(context: ChangeContext, what: Change<T>) => Promise<T>;

/** Changes that end credentials, and nothing else. */
const ENDS_RIGHTS: ReadonlySet<string> = new Set([
  'token.revoke',
  'credential.revoke',
  'certificate.revoke',
  'identity.disable',
  'issuer.block',
  'socket.remove',
]);

/** What a row of the admin API's says beside who asked. */
export interface AdminEvent {
  readonly action: string;
  readonly resource?: string | undefined;
  readonly resourceId?: string;
  readonly decision: 'allow' | 'deny' | 'error';
  readonly code?: string;
  readonly status?: number;
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
}

export interface ChangeParts {
  readonly recorder: Recorder;
  /** Room set aside for changes that end rights. */
  readonly reserve?: { spend(): boolean };
  /** A change could not be recorded. */
  onUnwritable?(error: GatewayError): void;
  /** Milliseconds since the epoch. */
  now(): number;
}

export function createChanges(parts: ChangeParts): {
  record(context: ChangeContext, event: AdminEvent): Promise<void>;
  refused(context: ChangeContext, action: string, resource: string, error: unknown): Promise<void>;
  readonly change: PerformChange;
} {
  const { recorder } = parts;
  const rowOf = (context: ChangeContext, event: AdminEvent) => ({
    at: parts.now() * 1000,
    stage: 'gateway' as const,
    auditId: context.auditId,
    subject: context.by.subject,
    issuer: context.by.issuer,
    tenant: context.by.tenant,
    tokenId: context.by.tokenId,
    source: context.by.source,
    client: context.by.client,
    ...event,
  });
  const record = (context: ChangeContext, event: AdminEvent): Promise<void> =>
    recorder.record(rowOf(context, event)).catch((error: unknown) => {
      if (error instanceof GatewayError) parts.onUnwritable?.(error);
      throw error;
    });

  const refused = (context: ChangeContext, action: string, resource: string, error: unknown): Promise<void> => {
    const code: ErrorCode = error instanceof GatewayError ? error.code : 'internal';
    return record(context, {
      action,
      resource,
      decision: 'error',
      code,
      status: statusOf(code),
      detail: { message: error instanceof GatewayError ? error.message.slice(0, 1000) : 'unexpected fault' },
    });
  };

  /** Recorded with the room set aside, or, where that is gone too, as soon as there is some. */
  const recordAnyway = async (context: ChangeContext, event: AdminEvent): Promise<void> => {
    try {
      await record(context, event);
    } catch (_error) {
      if (parts.reserve?.spend() === true)
        return record(context, event).catch(() => recorder.append(rowOf(context, event)));
      recorder.append(rowOf(context, event));
    }
  };
  const performAnyway = async <T>(what: Change<T>): Promise<T> => {
    try {
      return await what.perform();
    } catch (error) {
      // The store found no room.
      if (error instanceof GatewayError || parts.reserve?.spend() !== true) throw error;
      return what.perform();
    }
  };

  /** Changes run one after the other: between check and change there is no other change. */
  let last: Promise<unknown> = Promise.resolve();
  const change: PerformChange = <T>(context: ChangeContext, what: Change<T>): Promise<T> => {
    const { action, resource, detail } = what;
    const endsRights = ENDS_RIGHTS.has(action);
    const run = async (): Promise<T> => {
      try {
        what.check();
      } catch (error) {
        await refused(context, action, resource, error);
        throw error;
      }
      const allowed = { action, resource, decision: 'allow', detail } as const;
      await (endsRights ? recordAnyway(context, allowed) : record(context, allowed));
      try {
        const result = await (endsRights ? performAnyway(what) : what.perform());
        if (what.outcome) await record(context, { ...allowed, ...what.outcome(result) });
        return result;
      } catch (error) {
        await refused(context, action, resource, error);
        throw error;
      }
    };
    const result = last.then(run);
    last = result.catch(() => undefined);
    return result;
  };
  return { record, refused, change };
}
