// The door of /session: here the engine asks and the client serves, so what is judged is what a build may ask of its own client:
// folders, secrets and SSH agents by name. What the client sends is its own and passes unread. session/*.
import { readRequest } from './control-door.ts';
import { Refusal } from './grpc.ts';
import type { RawHeaders } from './headers.ts';
import type { Owner } from './owner.ts';
import { type Message, textOf, writeMessage } from './protobuf.ts';
import type { SessionPlan, SessionPlans } from './session-relay.ts';

/** What a session may be asked for, by the rules that hold now. */
export interface SessionDesk {
  readonly owner: Owner;
  /** @throws {Refusal} */
  ask(kind: 'secrets' | 'ssh' | 'contexts', name: string): void;
  /** A folder came whole; gives the error to answer with instead where the build must not go on. */
  sent(folder: string, session: string): Promise<Refusal | undefined>;
  /** Records a refusal; gives it with its audit id. */
  refused(path: string, refusal: Refusal): Promise<Refusal>;
}

const PASSING: ReadonlySet<string> = new Set([
  '/grpc.health.v1.Health/Check',
  '/moby.filesync.v1.FileSend/DiffCopy',
  '/moby.filesync.v1.Auth/Credentials',
  '/moby.filesync.v1.Auth/FetchToken',
  '/moby.filesync.v1.Auth/GetTokenAuthority',
  '/moby.filesync.v1.Auth/VerifyTokenAuthority',
  '/moby.upload.v1.Upload/Pull',
  // The client's own folder of a cache or an image layout.
  ...['Info', 'Update', 'List', 'Delete', 'Read', 'Status', 'ListStatuses', 'Write', 'Abort'].map(
    (method) => `/containerd.services.content.v1.Content/${method}`,
  ),
]);
const FOLDERS: ReadonlySet<string> = new Set([
  '/moby.filesync.v1.FileSync/DiffCopy',
  '/moby.filesync.v1.FileSync/TarStream',
]);
const SECRET = '/moby.buildkit.secrets.v1.Secrets/GetSecret';
const CHECK_AGENT = '/moby.sshforward.v1.SSH/CheckAgent';
const FORWARD_AGENT = '/moby.sshforward.v1.SSH/ForwardAgent';

/** Names a session to the engine. */
export const UUID_HEADER = 'X-Docker-Expose-Session-Uuid';

/** Whether a client may offer a service at all. Others are not told to the engine. */
export const isOffered = (path: string): boolean =>
  PASSING.has(path) || FOLDERS.has(path) || path === SECRET || path === CHECK_AGENT || path === FORWARD_AGENT;

export class SessionDoor implements SessionPlans {
  readonly #desk: SessionDesk;
  readonly #session: string;

  /** @param session its id, with the owner's mark */
  constructor(desk: SessionDesk, session: string) {
    this.#desk = desk;
    this.#session = session;
  }

  plan(path: string, headers: RawHeaders): SessionPlan {
    if (FOLDERS.has(path)) {
      const folder = folderOf(headers);
      this.#desk.ask('contexts', folder);
      return {
        kind: 'pass',
        headers,
        onEnd: (status) => (status === '0' ? this.#desk.sent(folder, this.#session) : undefined),
      };
    }
    if (path === FORWARD_AGENT) this.#desk.ask('ssh', headers.get('buildkit.ssh.id') ?? 'default');
    if (path === SECRET) return this.#byId('secrets', 'moby.buildkit.secrets.v1.GetSecretRequest', headers);
    if (path === CHECK_AGENT) return this.#byId('ssh', 'moby.sshforward.v1.CheckAgentRequest', headers);
    if (!isOffered(path)) throw new Refusal('unimplemented', `denied: ${path.slice(0, 200)} is not served here`);
    return { kind: 'pass', headers };
  }

  #byId(kind: 'secrets' | 'ssh', request: string, headers: RawHeaders): SessionPlan {
    return {
      kind: 'judge',
      headers,
      judge: (bytes) => {
        const message: Message = readRequest(request, bytes);
        this.#desk.ask(kind, textOf(message, 'ID') || 'default');
        return writeMessage(request, message);
      },
    };
  }

  refused(path: string, refusal: Refusal): Promise<Refusal> {
    return this.#desk.refused(path, refusal);
  }
}

/** Name of the folder that is asked for. Names that are no plain text come encoded. */
function folderOf(headers: RawHeaders): string {
  const name = headers.get('dir-name') ?? '';
  if (headers.get('dir-name-encoded') === undefined) return name;
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    throw new Refusal('invalid-argument', 'the name of a folder cannot be decoded');
  }
}

/** Names of headers a session is announced with. */
const UUID = 'x-docker-expose-session-uuid';
const SHARED_KEY = 'x-docker-expose-session-sharedkey';
const METHOD = 'x-docker-expose-session-grpc-method';
const NAME = 'x-docker-expose-session-name';

/**
 * The announcement of a session as the engine gets it: its id and its shared key are the owner's, so that no caller attaches
 * to another's session and no build gets the files of another's context.
 *
 * @param raw flat list of the request's headers
 * @throws {Refusal}
 */
export function ownAnnouncement(
  raw: readonly string[],
  owner: Owner,
): { headers: string[]; methods: readonly string[] } {
  const headers: string[] = [];
  const methods: string[] = [];
  let uuid: string | undefined;
  let key: string | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    switch (name.toLowerCase()) {
      case UUID:
        if (uuid !== undefined) throw new Refusal('invalid-argument', `the header ${name} came twice`);
        uuid = value;
        break;
      case SHARED_KEY:
        if (key !== undefined) throw new Refusal('invalid-argument', `the header ${name} came twice`);
        key = value;
        break;
      case METHOD:
        if (!isOffered(value)) break;
        methods.push(value);
        headers.push(name, value);
        break;
      case NAME:
        headers.push(name, value);
        break;
    }
  }
  headers.push(UUID_HEADER, owner.own(uuid ?? '', UUID_HEADER));
  headers.push('X-Docker-Expose-Session-Sharedkey', `${owner.mark}:${key ?? ''}`);
  return { headers, methods };
}
