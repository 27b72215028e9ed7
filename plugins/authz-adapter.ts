// Asks an existing authorization plugin of Docker's over its unix socket, as an engine does: before the call with the body that will be
// sent, and with the JSON answer where it is small. Its yes passes, everything else denies: no, an error, silence, another form.
// Docker: "Access authorization plugin", /AuthZPlugin.AuthZReq and .AuthZRes.
import { request as ask } from 'node:http';
import {
  type AdmissionRequest,
  type AdmissionResponse,
  definePlugin,
  deny,
  type Json,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  readonly socket: string;
  readonly actions: readonly string[];
  /** Whether it is asked about answers, too. */
  readonly responses: boolean;
}

/** Longest answer of an authorization plugin, and largest body it is shown, in bytes. */
const MAX_ANSWER = 64 * 1024;
const MAX_BODY = 1024 * 1024;

function post(socketPath: string, path: string, body: Json): Promise<Json> {
  const bytes = Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const asked = ask(
      {
        socketPath,
        path,
        method: 'POST',
        headers: {
          Host: 'plugin',
          // Asked to close, a plugin that needs no body may do so before it has read it.
          Connection: 'keep-alive',
          Accept: 'application/vnd.docker.plugins.v1.2+json',
          'Content-Type': 'application/vnd.docker.plugins.v1.2+json',
          'Content-Length': bytes.length,
        },
        agent: false,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER) asked.destroy(new Error('the authorization plugin says too much'));
          else chunks.push(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () => {
          asked.destroy();
          try {
            if (answer.statusCode !== 200) throw new Error(`the authorization plugin answered ${answer.statusCode}`);
            resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Json);
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    asked.on('error', reject);
    asked.end(bytes);
  });
}

/** Path and query in the spelling the engine is asked in. */
function uriOf({ operation, query }: Omit<AdmissionRequest, 'body'>): string {
  const words = Object.entries(query).flatMap(([name, values]) =>
    values.map((value) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`),
  );
  return words.length === 0 ? operation.path : `${operation.path}?${words.join('&')}`;
}

const whoAsks = ({ principal, operation, ...rest }: Omit<AdmissionRequest, 'body'>): { [key: string]: Json } => ({
  User: principal.subject,
  UserAuthNMethod: 'JWT',
  RequestMethod: operation.method,
  RequestUri: uriOf({ principal, operation, ...rest }),
});

/** Undefined for a yes, else what it says. @throws {Error} for an error of its own */
function refusalIn(answer: Json): string | undefined {
  const { Allow, Msg, Err } = objectOf(answer);
  if (textOf(Err) !== '') throw new Error('the authorization plugin told an error');
  return Allow === true ? undefined : textOf(Msg) || 'the authorization plugin denies it without a reason';
}

async function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Promise<Verdict> {
  const { body } = request;
  const text = body === undefined ? undefined : JSON.stringify(body);
  if (text !== undefined && text.length > MAX_BODY)
    return deny(
      'authz-body',
      `the body has more than ${MAX_BODY} bytes, which is more than an authorization plugin is shown`,
    );
  const answer = await post(config.socket, '/AuthZPlugin.AuthZReq', {
    ...whoAsks(request),
    ...(text === undefined
      ? {}
      : { RequestBody: Buffer.from(text).toString('base64'), RequestHeaders: { 'Content-Type': 'application/json' } }),
  });
  const refusal = refusalIn(answer);
  return refusal === undefined ? PASS : deny('authz-denied', refusal);
}

/** An answer is withheld by failing. */
async function judgeAnswer(response: AdmissionResponse, config: Settings): Promise<readonly []> {
  const text = JSON.stringify(response.body);
  const answer = await post(config.socket, '/AuthZPlugin.AuthZRes', {
    ...whoAsks(response),
    ResponseStatusCode: response.status,
    ResponseHeaders: { 'Content-Type': 'application/json' },
    ...(text.length > MAX_ANSWER ? {} : { ResponseBody: Buffer.from(text).toString('base64') }),
  });
  const refusal = refusalIn(answer);
  if (refusal !== undefined) throw new Error(refusal);
  return [];
}

export default definePlugin<Settings>({
  meta: {
    name: 'authz-adapter',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Asks an existing Docker authorization plugin over its socket, with the body that will be sent',
  },
  needs: { bodies: true, responses: true },
  match: { actions: ['*'] },
  config: {
    type: 'object',
    properties: {
      socket: { type: 'string', pattern: '^/' },
      actions: { type: 'array', items: { type: 'string' }, default: ['*'] },
      responses: { type: 'boolean', default: false },
    },
    required: ['socket'],
    additionalProperties: false,
  },
  matchOf: ({ actions, responses }) => ({ validate: actions, onResponse: responses ? actions : [] }),
  async setup({ config }) {
    const { Implements } = objectOf(await post(config.socket, '/Plugin.Activate', {}));
    if (!Array.isArray(Implements) || !Implements.includes('authz'))
      throw new Error(`${config.socket} is no authorization plugin`);
  },
  validate,
  onResponse: (response, { config }) => judgeAnswer(response, config),
});
