// Asks a service over HTTPS, in the form of a Kubernetes AdmissionReview (admission.k8s.io/v1), so that a service that answers those can
// be reused. What is not a plain yes denies: another status, another form, another uid, a late answer, a patch. Its host is granted
// as `needs: [net:HOST]`, a bearer token as `env:NAME`.
import {
  type AdmissionRequest,
  definePlugin,
  deny,
  type Json,
  listOf,
  objectOf,
  PASS,
  type PluginContext,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  readonly url: string;
  readonly actions: readonly string[];
  /** Name of the environment variable with the bearer token. */
  readonly tokenEnv?: string;
}

/** Kubernetes knows four operations; everything else connects to something. */
function verbOf(action: string): string {
  if (action.endsWith('.create')) return 'CREATE';
  if (action.endsWith('.update')) return 'UPDATE';
  return action.endsWith('.remove') ? 'DELETE' : 'CONNECT';
}

function reviewOf(request: AdmissionRequest): Json {
  const { auditId, operation, principal, resources, body, query, path, dryRun } = request;
  const [main] = resources;
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: auditId,
      kind: { group: 'docker', version: 'v1', kind: operation.id },
      resource: { group: 'docker', version: 'v1', resource: main?.kind ?? '' },
      ...(main === undefined ? {} : { name: main.name }),
      ...(principal.tenant === undefined ? {} : { namespace: principal.tenant }),
      operation: verbOf(operation.action),
      userInfo: {
        username: principal.subject,
        groups: [...principal.groups],
        extra: { issuer: [principal.issuer], action: [operation.action] },
      },
      object: body ?? null,
      oldObject: null,
      options: { path: { ...path }, query: { ...query } },
      dryRun,
    },
  };
}

async function validate(request: AdmissionRequest, context: PluginContext<Settings>): Promise<Verdict> {
  const { url, tokenEnv } = context.config;
  const token = tokenEnv === undefined ? undefined : context.env[tokenEnv];
  const answer = await context.fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(reviewOf(request)),
  });
  if (answer.status !== 200) throw new Error(`the service answered ${answer.status}`);
  const review = objectOf(JSON.parse(answer.body) as Json);
  const response = objectOf(review.response);
  if (review.kind !== 'AdmissionReview' || response.uid !== request.auditId)
    throw new Error('the service answered something else than this AdmissionReview');
  if (response.patch !== undefined) throw new Error('the service answered with a patch, which is not taken');
  if (response.allowed !== true) {
    const { message, reason } = objectOf(response.status);
    return deny('webhook-denied', textOf(message) || textOf(reason) || 'the service denies it without a reason');
  }
  const warnings = listOf(response.warnings).map(textOf).filter(Boolean);
  return warnings.length === 0 ? PASS : { kind: 'warn', message: warnings.join('; ') };
}

export default definePlugin<Settings>({
  meta: {
    name: 'webhook',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Asks a service over HTTPS, as Kubernetes asks its admission webhooks',
  },
  match: { actions: ['*'] },
  matchOf: ({ actions }) => ({ validate: actions }),
  config: {
    type: 'object',
    properties: {
      url: { type: 'string', pattern: '^https?://' },
      actions: { type: 'array', items: { type: 'string' }, default: ['*.create', 'build.run'] },
      tokenEnv: { type: 'string' },
    },
    required: ['url'],
    additionalProperties: false,
  },
  setup({ config, env }) {
    if (config.tokenEnv !== undefined && (env[config.tokenEnv] ?? '') === '')
      throw new Error(`tokenEnv ${config.tokenEnv} is not granted or empty: write needs: [env:${config.tokenEnv}]`);
  },
  validate,
});
