// The token endpoint: POST /token on the TCP listeners. RFC 8693 exchange, and RFC 6749 client_credentials and refresh_token
// for a refresh credential. Who may have what is identity/grants.ts; here are the form, OAuth's words, and the audit.
import type { AuditEvent, Recorder } from '../audit/event.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { FailedCredentials } from '../identity/attempts.ts';
import type { Peer } from '../identity/certificate-callers.ts';
import type { Granted, GrantRequest, Grants } from '../identity/grants.ts';
import { faultOfAction } from '../policy/actions.ts';
import { readAuthorizationDetails } from '../policy/ceiling.ts';
import { AUDIT_ID_HEADER } from './answer.ts';
import { asGatewayError } from './refusal.ts';
import type { Strangers } from './strangers.ts';

export const TOKEN_PATH = '/token';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
/** Two tokens of 8 KiB and details between them stay far below this, in bytes. */
const MAX_FORM_BYTES = 64 * 1024;
/** Longest time for the form to arrive, in ms. */
const FORM_TIMEOUT_MS = 10_000;
const MAX_TTL_S = 366 * 86_400;

export interface TokenEndpointParts {
  readonly grants: Grants;
  readonly attempts: FailedCredentials;
  readonly recorder: Recorder;
  readonly strangers: Strangers;
  /** `aud` of our tokens: the one audience a token can be had for. */
  readonly audience: string;
  /** Milliseconds since the epoch. */
  now(): number;
  newAuditId(): string;
}

/** A request as the endpoint needs it. */
export interface TokenCall {
  readonly request: Request;
  /** Address of the caller, without port. */
  readonly source: string;
  readonly client: string | undefined;
  /** The other end of the TLS connection, for tokens that are bound to its certificate. */
  readonly peer?: Peer | undefined;
}

/** Answers a token request; every answer is in the audit before it is given. */
export async function answerTokenCall(call: TokenCall, parts: TokenEndpointParts): Promise<Response> {
  const auditId = parts.newAuditId();
  const event = (more: Partial<AuditEvent> & Pick<AuditEvent, 'decision'>): AuditEvent => ({
    at: parts.now() * 1000,
    stage: 'gateway',
    auditId,
    source: call.source,
    client: call.client,
    action: 'token.request',
    ...more,
  });
  const refuse = async (error: GatewayError, basic: boolean, waitS = 0): Promise<Response> => {
    const decision = error.status >= 500 ? 'error' : isAboutWho(error) ? 'unauthenticated' : 'deny';
    const { code, status, message } = error;
    const counted = isAboutWho(error) ? parts.strangers.fold(call.source, code) : undefined;
    if (counted !== undefined) return oauthError(error, counted, basic, waitS);
    try {
      const detail = { message, ...(error.audit === undefined ? {} : { origin: error.audit }) };
      await parts.recorder.record(event({ decision, code, status, detail }));
    } catch (unwritable) {
      return oauthError(asGatewayError(unwritable), auditId, basic, 0);
    }
    return oauthError(error, auditId, basic, waitS);
  };

  const tooMany = () => new GatewayError('too-many-attempts', 'too many attempts failed; wait before the next');
  let form: Form | undefined;
  try {
    form = await readForm(call.request);
    const waitS = parts.attempts.waitS(form.credential, parts.now());
    if (waitS > 0) return await refuse(tooMany(), form.basic, waitS);
    const granted = await grant(form, call, parts);
    const { record, parent, actor, origin } = granted;
    const ttlMs = record.expiresAt - record.issuedAt;
    const { scope, authorizationDetails } = record;
    await parts.recorder.record(
      event({
        action: form.get('grant_type') === EXCHANGE ? 'token.exchange' : 'token.refresh',
        subject: record.identity,
        tokenId: parent,
        resource: `identity/${record.identity}`,
        resourceId: record.id,
        decision: 'allow',
        status: 200,
        detail: { parent, ttlMs, scope, authorizationDetails, actor, origin },
      }),
    );
    return success(granted, ttlMs, auditId);
  } catch (thrown) {
    const error = asGatewayError(thrown);
    if (error.status === 401) {
      const waitS = parts.attempts.failed(call.source, form?.credential, parts.now());
      if (waitS > 0) return refuse(tooMany(), form?.basic ?? false, waitS);
    }
    return refuse(error, form?.basic ?? false);
  }
}

const isAboutWho = ({ status, code }: GatewayError): boolean => status === 401 || code === 'too-many-attempts';

async function grant(form: Form, { peer, source }: TokenCall, parts: TokenEndpointParts): Promise<Granted> {
  const type = form.need('grant_type');
  const request = readRequest(form);
  switch (type) {
    case EXCHANGE: {
      form.oneOf('subject_token_type', [ACCESS_TOKEN, JWT], true);
      form.oneOf('requested_token_type', [ACCESS_TOKEN, JWT], false);
      const audience = form.get('audience') ?? form.get('resource');
      if (audience !== undefined && audience !== parts.audience) {
        throw new GatewayError(
          'grant-invalid',
          'a token can be had for this gateway alone; leave audience and resource out',
        );
      }
      const actorToken = form.get('actor_token');
      if (actorToken !== undefined) form.oneOf('actor_token_type', [ACCESS_TOKEN, JWT], true);
      return parts.grants.exchange({ ...request, subjectToken: form.need('subject_token'), actorToken, peer, source });
    }
    case 'client_credentials':
      return parts.grants.refresh({ ...request, secret: form.need('client_secret'), clientId: form.get('client_id') });
    case 'refresh_token':
      return parts.grants.refresh({ ...request, secret: form.need('refresh_token'), clientId: form.get('client_id') });
    default:
      throw new GatewayError(
        'grant-type-unsupported',
        `the grant types are ${EXCHANGE}, client_credentials and refresh_token`,
      );
  }
}

function readRequest(form: Form): GrantRequest {
  const scope = form
    .get('scope')
    ?.split(' ')
    .filter((entry) => entry !== '');
  for (const entry of scope ?? []) {
    const fault = faultOfAction(entry);
    if (fault !== undefined) throw new GatewayError('grant-too-wide', `scope: ${fault}`);
  }
  const details = form.get('authorization_details');
  const lifetime = form.get('expires_in');
  if (lifetime !== undefined && !(/^[1-9][0-9]{0,8}$/.test(lifetime) && Number(lifetime) <= MAX_TTL_S)) {
    throw new GatewayError('input-invalid', 'expires_in must be a whole number of seconds');
  }
  return {
    ...(scope === undefined ? {} : { scope }),
    ...(details === undefined ? {} : { authorizationDetails: readDetails(details) }),
    ...(lifetime === undefined ? {} : { ttlMs: Number(lifetime) * 1000 }),
  };
}

function readDetails(text: string) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new GatewayError('details-invalid', 'authorization_details is not JSON');
  }
  const { details, problems } = readAuthorizationDetails(value);
  if (details === undefined) throw new GatewayError('details-invalid', `authorization_details${problems.join('; ')}`);
  return details;
}

/** A form body and, with it, the client's Basic credentials as the parameters they stand for. */
class Form {
  readonly #values: ReadonlyMap<string, string>;
  /** The client presented itself by HTTP Basic. */
  readonly basic: boolean;
  constructor(values: ReadonlyMap<string, string>, basic: boolean) {
    this.#values = values;
    this.basic = basic;
  }
  /** A parameter without value counts as left out (RFC 6749 section 3.2). */
  get(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === '' ? undefined : value;
  }
  need(name: string): string {
    const value = this.get(name);
    if (value === undefined) throw new GatewayError('input-invalid', `the parameter ${name} is missing`);
    return value;
  }
  /** What the caller presents, whichever grant it asks for. */
  get credential(): string | undefined {
    return this.get('client_secret') ?? this.get('refresh_token') ?? this.get('subject_token');
  }
  oneOf(name: string, allowed: readonly string[], needed: boolean): void {
    const value = needed ? this.need(name) : this.get(name);
    if (value !== undefined && !allowed.includes(value)) {
      throw new GatewayError('input-invalid', `${name} must be one of ${allowed.join(', ')}`);
    }
  }
}

async function readForm(request: Request): Promise<Form> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') {
    throw new GatewayError('input-invalid', 'send a form: Content-Type: application/x-www-form-urlencoded');
  }
  const values = new Map<string, string>();
  const add = (name: string, value: string) => {
    // Two readings of one parameter must not exist (RFC 6749 section 3.2).
    if (values.has(name)) throw new GatewayError('input-invalid', `the parameter ${name.slice(0, 64)} was given twice`);
    values.set(name, value);
  };
  for (const [name, value] of new URLSearchParams(await readText(request))) add(name, value);
  const basic = readBasic(request.headers.get('authorization'));
  if (basic === undefined) return new Form(values, false);
  if (values.get('client_id') !== basic.user) add('client_id', basic.user);
  add('client_secret', basic.password);
  return new Form(values, true);
}

async function readText(request: Request): Promise<string> {
  if (request.body === null) return '';
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void reader.cancel().catch(() => {});
  }, FORM_TIMEOUT_MS);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > MAX_FORM_BYTES) {
        void reader.cancel().catch(() => {});
        throw new GatewayError('input-invalid', `the form is larger than ${MAX_FORM_BYTES} bytes`);
      }
      chunks.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
  if (late) throw new GatewayError('request-timeout', 'the form did not arrive in time');
  return Buffer.concat(chunks).toString('utf8');
}

/** RFC 6749 section 2.3.1: user and password are form-encoded within HTTP Basic. */
function readBasic(header: string | null): { user: string; password: string } | undefined {
  if (header === null) return undefined;
  const encoded = /^basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  const text = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1) throw new GatewayError('input-invalid', 'the Authorization header must be HTTP Basic, or left out');
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part.replaceAll('+', ' '));
    } catch {
      throw new GatewayError('input-invalid', 'the HTTP Basic credentials are not form-encoded');
    }
  };
  return { user: decode(text.slice(0, colon)), password: decode(text.slice(colon + 1)) };
}

function success({ token, record }: Granted, ttlMs: number, auditId: string): Response {
  const body = {
    access_token: token,
    issued_token_type: ACCESS_TOKEN,
    token_type: 'Bearer',
    expires_in: Math.floor(ttlMs / 1000),
    ...(record.scope === undefined ? {} : { scope: record.scope.join(' ') }),
    ...(record.authorizationDetails === undefined ? {} : { authorization_details: record.authorizationDetails }),
  };
  return Response.json(body, { headers: { 'Cache-Control': 'no-store', [AUDIT_ID_HEADER]: auditId } });
}

/** Our codes in OAuth's words: RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9396 section 5, RFC 8628 for slow_down. */
function oauthCodeOf(code: ErrorCode, status: number): string {
  switch (code) {
    case 'client-invalid':
      return 'invalid_client';
    case 'grant-invalid':
      return 'invalid_grant';
    case 'grant-too-wide':
      return 'invalid_scope';
    case 'grant-type-unsupported':
      return 'unsupported_grant_type';
    case 'details-invalid':
      return 'invalid_authorization_details';
    case 'too-many-attempts':
    case 'rate-limited':
      return 'slow_down';
    default:
      // A subject or actor token that is not good is an invalid request.
      return status < 500 ? 'invalid_request' : 'server_error';
  }
}

function oauthError(error: GatewayError, auditId: string, basic: boolean, waitS: number): Response {
  const { code, message } = error;
  const isClient = code === 'client-invalid';
  const status = error.status >= 500 || error.status === 429 ? error.status : isClient ? 401 : 400;
  const body = {
    error: oauthCodeOf(code, error.status),
    error_description: message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'"),
    audit_id: auditId,
  };
  const headers = new Headers({ 'Cache-Control': 'no-store', [AUDIT_ID_HEADER]: auditId });
  if (isClient && basic) headers.set('WWW-Authenticate', 'Basic realm="dockgate"');
  if (waitS > 0) headers.set('Retry-After', String(waitS));
  return Response.json(body, { status, headers });
}
