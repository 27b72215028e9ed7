// Makes the audit events of a call from the furthest value its steps reached. The first row tells what was asked, what was decided and why, and what
// will be sent; the outcome's row what came of it. Masking happens here, once, before anything is handed to the recorder.
import type { AuditDecision, AuditEvent, AuditResource, AuditStage } from '../audit/event.ts';
import { outcomeOf } from '../audit/outcome.ts';
import type { TranscriptFacts } from '../audit/transcript/transcript.ts';
import type { EngineCall, Json, ResourceRef } from '../engine/types.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import { BUILD_OPAQUE } from '../policy/actions.ts';
import { isBuildKitBuild } from '../policy/buildkit.ts';
import type { AuditLevel, Decision } from '../policy/types.ts';
import type { GatewayParts } from './parts.ts';
import { sha256Hex } from './steps/read-body.ts';
import { type Reached, sinceUs } from './steps/values.ts';
import type { Told, ToldFacts } from './told.ts';

/** Longest path of an unknown operation that is kept, in characters. */
const MAX_PATH = 512;
/** Reasons of a denial that are kept. */
const MAX_REASONS = 8;

/** Fields of an event beside those taken from the call. */
export interface EventOutcome {
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly field?: string | undefined;
  readonly origin?: Readonly<Record<string, unknown>> | undefined;
  readonly build?: Readonly<Record<string, unknown>>;
  readonly status?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly end?: string;
  /** Of a session that was recorded. */
  readonly transcript?: TranscriptFacts | undefined;
  /** Of an exec instance that ended: what the engine shows of it. */
  readonly exec?: ExecFacts | undefined;
  /** Changes of the ledger that go with the row. */
  readonly ledger?: readonly LedgerEntry[] | undefined;
  /** The engine's answer, where the audit needs something of it. */
  readonly told?: Told | undefined;
}

/** What ran in a container, for whom, and how it ended. */
export interface ExecFacts {
  readonly containerId: string;
  readonly argv: readonly string[];
  readonly user: string;
  readonly tty: boolean;
  readonly privileged: boolean;
  /** Missing while it still runs: it was started detached, or the stream ended before it did. */
  readonly exitCode?: number;
}

type Parts = Pick<GatewayParts, 'masking'>;

/** The event for a stage. `decision` is what was decided, not how the engine answered. */
export function callEvent(
  at: Reached,
  stage: AuditStage,
  decision: AuditDecision,
  outcome: EventOutcome,
  parts: Parts,
): AuditEvent {
  const { principal, target, call, arrival } = at;
  const { ledger } = outcome;
  const main = call?.resources[0];
  const durationUs = stage === 'intent' ? undefined : sinceUs(at);
  // The request is kept once: with the intent of a call that was allowed, or with the one row of a refused one.
  const isFirst = stage === 'intent' || (stage === 'complete' && decision !== 'allow');
  const told = stage === 'complete' && decision === 'allow' ? outcome.told?.facts() : undefined;
  const isCut = outcome.end !== undefined && outcome.end !== 'complete';
  return {
    at: at.startedAtUs + (durationUs ?? 0),
    stage,
    auditId: at.auditId,
    subject: principal?.subject,
    issuer: principal?.issuer,
    tenant: principal?.tenant,
    tokenId: principal?.tokenId,
    source: arrival.source,
    client: clientOf(at, parts),
    action: target?.action ?? 'unknown',
    operationId: target?.operation.id,
    class: target?.operation.class,
    apiVersion: target?.apiVersion,
    resource: main === undefined ? undefined : main.name === '' ? main.kind : `${main.kind}/${nameOf(main, parts)}`,
    resourceId: told?.madeId ?? (main === undefined ? undefined : idOf(main)) ?? ledger?.[0]?.id,
    decision,
    code: outcome.code,
    rule: at.decision?.rule,
    policyRev: at.policyRevision,
    status: outcome.status,
    durationUs,
    bytesIn: outcome.bytesIn,
    bytesOut: outcome.bytesOut,
    detail: isFirst
      ? firstDetail(at, decision, outcome, parts)
      : stage === 'complete'
        ? lastDetail(at, outcome, told, parts)
        : undefined,
    actor: isFirst ? principal?.actor : undefined,
    pluginGeneration: isFirst ? at.seenBy?.plugins.generation : undefined,
    bodySha256: isFirst ? at.bodySha256 : stage === 'complete' ? at.uploads?.received() : undefined,
    sentSha256: stage === 'intent' ? sentSha256(at) : stage === 'complete' ? at.uploads?.sent() : undefined,
    outcome:
      stage !== 'complete'
        ? undefined
        : told?.isFailure === true && !isCut
          ? 'failed'
          : outcomeOf(decision, outcome.status, outcome.code, isCut),
    session: sessionOf(at, told?.madeId),
    resources: isFirst ? otherResources(call, parts) : toldResources(told, outcome.exec),
    ledger,
  };
}

const clientOf = ({ client }: Reached, { masking }: Parts): string | undefined =>
  client === undefined ? undefined : masking.client(client);

const sentSha256 = ({ rendered }: Reached): string | undefined =>
  rendered === undefined ? undefined : sha256Hex(rendered);

/** Sentences about the call, without what they quote of its secrets: made when there is one to keep. */
function quotingOf(at: Reached, { masking }: Parts): (sentence: string) => string {
  const { call, arrival } = at;
  let hide: ((sentence: string) => string) | undefined;
  return (sentence) => {
    hide ??= masking.quoting(call, arrival.target, arrival.rawHeaders);
    return hide(sentence);
  };
}

/** Attach and exec are sessions: an exec by its own id, from its making to its end, an attach by the id of its call. */
function sessionOf({ call, auditId }: Reached, madeId: string | undefined): string | undefined {
  switch (call?.operation.id) {
    case 'ContainerAttach':
      return auditId;
    case 'ContainerExec':
      return madeId;
    case 'ExecStart':
    case 'ExecResize':
      return call.path.id;
    default:
      return undefined;
  }
}

function firstDetail(
  at: Reached,
  decision: AuditDecision,
  outcome: EventOutcome,
  { masking }: Parts,
): Readonly<Record<string, unknown>> | undefined {
  const detail: Record<string, unknown> = {};
  const { call, target, arrival, principal } = at;
  const quoting = quotingOf(at, { masking });
  if (outcome.message !== undefined) detail.message = messageOf(at, outcome.message, quoting);
  if (outcome.field !== undefined) detail.field = quoting(outcome.field);
  if (outcome.build !== undefined) detail.build = outcome.build;
  // Whose word it is that the caller is this principal; of a refused one what its issuer said, for operators alone.
  const origin = principal?.origin ?? outcome.origin;
  if (origin !== undefined) detail.origin = origin;
  if (call !== undefined && (decision !== 'allow' || levelOf(at, call) !== 'metadata')) {
    const kept = masking.call(call);
    if (kept.body !== undefined) detail.body = kept.body;
    if (Object.keys(kept.query).length > 0) detail.query = kept.query;
  }
  if (call !== undefined && (decision !== 'allow' || call.operation.class !== 'read')) {
    const path = at.decision === undefined ? undefined : decisionPath(at.decision, quoting);
    if (path !== undefined) detail.decided = path;
  }
  const leftOut = call?.leftOut ?? target?.leftOut;
  if (leftOut !== undefined) detail.leftOut = leftOut.map(({ at }) => masking.text(at));
  if (target === undefined) {
    detail.method = arrival.method.slice(0, 32);
    // The path is kept as asked, without the query: that may hold secrets and nothing has read it.
    detail.path = masking.path((arrival.target.split('?', 1)[0] ?? '').slice(0, MAX_PATH)).slice(0, MAX_PATH);
  }
  // What follows was let through unread: a reviewer must see that the log cannot tell what was built.
  const isUnread = at.decision?.isUnread === true || (call !== undefined && isBuildKitBuild(call));
  if (isUnread && decision === 'allow') detail.unread = BUILD_OPAQUE;
  if (arrival.channel.identity !== undefined || arrival.channel.speaksFor !== undefined)
    detail.listener = arrival.channel.name;
  if (at.recording !== undefined) detail.recorded = at.decision?.obligations.record;
  if (at.foreignToken !== undefined) detail.ignoredToken = at.foreignToken;
  if (principal?.certificateSerial !== undefined) detail.certificate = principal.certificateSerial;
  const changes = at.seenBy?.changes ?? [];
  if (changes.length > 0) {
    const action = target?.action ?? '';
    detail.changes = changes.map(({ plugin, changes: made }) => ({
      plugin,
      changes: made.map(({ op, path, value, before }) => ({
        op,
        path,
        ...(before === undefined ? {} : { before: masking.at(action, path, before) }),
        ...(value === undefined ? {} : { after: masking.at(action, path, value as Json) }),
      })),
    }));
  }
  addAnswerHooks(detail, at, quoting);
  if (at.annotations !== undefined && Object.keys(at.annotations).length > 0) {
    detail.annotations = {
      ...maskedTexts(at.annotations, quoting),
      ...(detail.annotations as Record<string, string> | undefined),
    };
  }
  if (at.warnings !== undefined && at.warnings.length > 0) detail.warnings = at.warnings.map(quoting);
  return Object.keys(detail).length === 0 ? undefined : detail;
}

/** Reads are kept without their parameters, all else with what was asked, unless a rule says otherwise. */
const levelOf = ({ decision }: Reached, { operation }: EngineCall): AuditLevel =>
  decision?.obligations.audit ?? (operation.class === 'read' ? 'metadata' : 'request');

const jsonOf = (value: Json | undefined): string =>
  JSON.stringify(value ?? null, (_key, inner: unknown) => (typeof inner === 'bigint' ? `${inner}` : inner));

/** Which documents were asked, what each reason was and what the rules oblige the gateway to. */
function decisionPath(
  { effect, reasons, policyIds, obligations }: Decision,
  quoting: (sentence: string) => string,
): Readonly<Record<string, unknown>> | undefined {
  const path: Record<string, unknown> = {};
  if (effect === 'deny') {
    path.policies = policyIds;
    path.reasons = reasons.slice(0, MAX_REASONS).map(({ code, policy, rule, field, message, bare }) => ({
      code,
      policy,
      rule,
      field: field === undefined ? undefined : quoting(field),
      message: quoting(bare ?? message),
    }));
  }
  const { labels, redact, leaseMs } = obligations;
  if (labels !== undefined) path.labels = labels;
  if (redact !== undefined) path.redact = redact;
  if (leaseMs !== undefined) path.leaseMs = leaseMs;
  return Object.keys(path).length === 0 ? undefined : path;
}

function lastDetail(
  at: Reached,
  outcome: EventOutcome,
  told: ToldFacts | undefined,
  { masking }: Parts,
): Readonly<Record<string, unknown>> | undefined {
  const detail: Record<string, unknown> = {};
  const quoting = quotingOf(at, { masking });
  if (outcome.message !== undefined) detail.message = messageOf(at, outcome.message, quoting);
  else if (told?.message !== undefined) detail.message = messageOf(at, told.message, quoting);
  if (outcome.build !== undefined) detail.build = outcome.build;
  if (outcome.end !== undefined && outcome.end !== 'complete') detail.end = outcome.end;
  if (told?.answer !== undefined && at.call !== undefined) {
    const kept = masking.call({ action: at.call.action, body: told.answer, query: {} }).body;
    // An answer may repeat what it was asked.
    detail.answer = JSON.parse(masking.hiding(at.call, at.arrival.rawHeaders)(jsonOf(kept)));
  }
  if (told?.exitCode !== undefined) detail.exitCode = told.exitCode;
  if (outcome.exec !== undefined) {
    const { containerId: _container, argv, ...exec } = outcome.exec;
    detail.exec = { argv: masking.at('container.exec.create', '/body/Cmd', argv), ...exec };
  }
  if (outcome.transcript !== undefined) {
    const { commands, more, ...transcript } = outcome.transcript;
    detail.transcript = transcript;
    if (commands.length > 0) detail.commands = commands;
    if (more) detail.moreCommands = true;
  }
  addAnswerHooks(detail, at, quoting);
  for (const _key in detail) return detail;
  return undefined;
}

/** What plugins said of the answer and the stream, and took out of it: places and not values, which are in no log either. */
function addAnswerHooks(
  detail: Record<string, unknown>,
  { responses, watch }: Reached,
  quoting: (sentence: string) => string,
): void {
  if (responses === undefined && watch === undefined) return;
  const taken = responses?.changes ?? [];
  if (taken.length > 0) detail.answerChanges = taken;
  const told = { ...responses?.annotations, ...watch?.annotations };
  if (Object.keys(told).length > 0) detail.annotations = maskedTexts(told, quoting);
}

const maskedTexts = (
  texts: Readonly<Record<string, string>>,
  quoting: (sentence: string) => string,
): Record<string, string> => Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, quoting(text)]));

/** A message quotes names as the caller sent them. */
function messageOf({ call }: Reached, message: string, quoting: (sentence: string) => string): string {
  let shown = message;
  for (const reference of call?.resources ?? []) {
    const name = shownName(reference);
    if (name !== reference.name) shown = shown.replaceAll(reference.name, name);
  }
  return quoting(shown);
}

/** The objects of a call beside the main one, each once, and by the names they have beside the one that was used. */
function otherResources(call: EngineCall | undefined, parts: Parts): AuditResource[] | undefined {
  if (call === undefined) return undefined;
  const { resources } = call;
  const [main] = resources;
  // A build whose result goes to the client makes no object, nor does a part of one.
  if (main === undefined || (resources.length === 1 && main.id === undefined)) return undefined;
  const seen = new Set<string>([`${main.kind}/${main.name}`]);
  const others: AuditResource[] = [];
  const add = (resource: AuditResource): void => {
    const key = `${resource.kind}/${resource.name}`;
    if (resource.name === '' || seen.has(key)) return;
    seen.add(key);
    others.push(resource);
  };
  for (const [i, ref] of resources.entries()) {
    const { kind, id, at, resolvedName } = ref;
    if (i > 0) add({ kind, name: nameOf(ref, parts), id: idOf(ref), at });
    if (kind === 'exec' && id !== undefined) add({ kind: 'container', name: resolvedName || id, id, at });
    else if (resolvedName !== undefined && id !== undefined) add({ kind, name: resolvedName, id, at });
  }
  return others.length === 0 ? undefined : others;
}

function toldResources(told: ToldFacts | undefined, exec: ExecFacts | undefined): AuditResource[] | undefined {
  const found: AuditResource[] = [...(told?.resources ?? [])];
  if (exec !== undefined && exec.containerId !== '') {
    found.push({ kind: 'container', name: exec.containerId, id: exec.containerId, at: 'answer' });
  }
  return found.length === 0 ? undefined : found;
}

/** Ids and short names are kept as they are; what reads like an assignment, an address or a token is masked. */
const nameOf = (ref: ResourceRef, { masking }: Parts): string => {
  const name = shownName(ref);
  return name.length < 16
    ? name.includes('=')
      ? masking.name(ref.kind, name)
      : name
    : HEX_ID.test(name)
      ? name
      : masking.name(ref.kind, name);
};
const HEX_ID = /^(?:sha256:)?[0-9a-f]{64}$/;

/** The engine's id of an object; undefined for an exec instance, whose reference holds the id of its container. */
const idOf = ({ kind, id }: ResourceRef): string | undefined => (kind === 'exec' ? undefined : id);

/** Kinds whose names are addresses of registries, where a user and a password may stand in front of the host. */
const ADDRESSED = new Set(['system', 'image', 'distribution', 'plugin']);

/** A name as the audit keeps it: without user and password. The @ of a digest is none of theirs. */
const shownName = ({ kind, name }: Pick<ResourceRef, 'kind' | 'name'>): string =>
  ADDRESSED.has(kind) && name.includes('@')
    ? name.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@(?!sha\d+:)/i, '$1***@')
    : name;
