// Carries one local connection to the gateway: every request's head is written anew with the credential, bodies and
// answers pass as they come, and after an upgrade bytes go both ways with half-close. One request at a time; what a
// client sends ahead waits, with an end to how much. RFC 9112; CLI behaviour as in the Engine API's hijacking.
import process from 'node:process';
import type { Duplex } from 'node:stream';
import { type GatewayError, statusOf, titleOf } from '../errors.ts';
import type { AnswerHead } from '../proxy/answer-reader.ts';
import { answerHeaders } from '../proxy/headers.ts';
import { spliceHijack } from '../proxy/hijack.ts';
import type { Credentials } from './credentials.ts';
import { BodyReader, type RequestHead, readHead } from './request-reader.ts';
import type { Upstream, Upstreams } from './upstream.ts';

export interface CarryOptions {
  readonly upstreams: Upstreams;
  readonly credentials: Credentials;
  /** Told of each fault that a client was answered with. */
  onFault?(error: GatewayError): void;
}

/** A body up to this size is kept until the answer begins, so that the request can be sent again. In bytes. */
const REPLAY_BYTES = 64 * 1024;
/** What a client may send ahead of its answer before it is no longer read. In bytes. */
const AHEAD_BYTES = 256 * 1024;
/** A client that ends its side still gets an answer that is complete this soon, in ms; after that it is gone. */
const CANCEL_GRACE_MS = 500;
/** A client that does not close its side after us is closed after this long, in ms. */
const LINGER_MS = 2_000;
/** A refused upload is read on and dropped this long, in ms, so that the client comes to read the answer. */
const DRAIN_MS = 30_000;

const NONE: Buffer = Buffer.alloc(0);
const RAW_STREAM = /^application\/vnd\.docker\.(raw|multiplexed)-stream/i;
/** Headers of a request that belong to its connection, or that are written anew. */
const OWN = /^(host|authorization|proxy-authorization|connection|keep-alive|proxy-connection|te|trailer|upgrade)$/i;

/** Carries until the client is gone. @returns resolves when nothing of the connection is left */
export function carry(client: Duplex, options: CarryOptions): Promise<void> {
  return new Promise((resolve) => new Carrier(client, options, resolve));
}

class Carrier {
  readonly #client: Duplex;
  readonly #options: CarryOptions;
  readonly #done: () => void;
  /** Bytes of the client that no request has taken yet. */
  #ahead: Buffer = NONE;
  #call: Call | undefined;
  #clientEnded = false;
  #closing = false;
  #finished = false;

  constructor(client: Duplex, options: CarryOptions, done: () => void) {
    this.#client = client;
    this.#options = options;
    this.#done = done;
    client.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose);
  }

  readonly #onData = (data: Buffer): void => {
    if (this.#closing) return;
    const taken = this.#call?.upload(data) ?? 0;
    if (taken === data.length) return;
    const rest = taken === 0 ? data : data.subarray(taken);
    this.#ahead = this.#ahead.length === 0 ? rest : Buffer.concat([this.#ahead, rest]);
    if (this.#call === undefined) this.#next();
    else if (this.#ahead.length > AHEAD_BYTES) this.#client.pause();
  };

  readonly #onEnd = (): void => {
    this.#clientEnded = true;
    if (this.#call === undefined) this.#end();
    else this.#call.clientEnded();
  };

  readonly #onError = (): void => void this.#client.destroy();

  readonly #onClose = (): void => {
    this.#call?.cancel();
    this.#finish();
  };

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#done();
  }

  /** Begins the next request, once its head is there. */
  #next(): void {
    if (this.#closing) return;
    let found: ReturnType<typeof readHead>;
    try {
      found = readHead(this.#ahead);
    } catch (error) {
      this.#refuse(error as GatewayError);
      return;
    }
    if (found === undefined) {
      if (this.#clientEnded) this.#end();
      return;
    }
    this.#ahead = this.#ahead.subarray(found.used);
    const call = new Call(this.#client, found.head, this.#options, {
      complete: (keep) => {
        this.#call = undefined;
        this.#client.resume();
        if (!keep || (this.#clientEnded && this.#ahead.length === 0)) this.#end(call.isUploaded);
        else this.#next();
      },
      refuse: (error) => {
        this.#call = undefined;
        this.#options.onFault?.(error);
        this.#refuse(error, found.head.method, call.isUploaded);
      },
      upgraded: (upstream) => this.#splice(upstream),
      raw: () => {
        const early = this.#ahead;
        this.#ahead = NONE;
        call.upload(early);
      },
    });
    this.#call = call;
    const taken = call.upload(this.#ahead);
    this.#ahead = this.#ahead.subarray(taken);
    call.start();
    if (this.#clientEnded) call.clientEnded();
  }

  /** Says in Docker's words why there is no answer, and closes: the next bytes on the connection may be a body. */
  #refuse(error: GatewayError, method = 'GET', isUploaded = true): void {
    const body = Buffer.from(JSON.stringify({ message: error.message }));
    const head =
      `HTTP/1.1 ${statusOf(error.code)} ${titleOf(error.code)}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
    this.#client.write(method === 'HEAD' ? head : head + body.toString('utf8'));
    this.#end(isUploaded);
  }

  /** Ends our side. The client's is read on and dropped, or it would not get to read the answer. */
  #end(isUploaded = true): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ahead = NONE;
    const client = this.#client;
    client.resume();
    client.end(() => {
      if (client.readableEnded) client.destroy();
      else {
        client.once('end', () => client.destroy());
        setTimeout(() => client.destroy(), isUploaded ? LINGER_MS : DRAIN_MS).unref?.();
      }
    });
  }

  #splice(upstream: Duplex): void {
    const client = this.#client;
    this.#call = undefined;
    client.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError).off('close', this.#onClose);
    client.pause();
    // Written here, not put back: a stream whose end was told takes nothing back.
    if (this.#ahead.length > 0) upstream.write(this.#ahead);
    this.#ahead = NONE;
    if (this.#clientEnded) upstream.end();
    void spliceHijack(client, upstream).then(() => {
      const close = () => {
        if (client.readableEnded) client.destroy();
        else setTimeout(() => client.destroy(), LINGER_MS).unref?.();
        upstream.destroy();
        this.#finish();
      };
      if (client.writableFinished || client.destroyed) close();
      else client.once('finish', close).once('close', close);
    });
  }
}

interface CallEvents {
  /** The answer is complete. `keep`: the connection may carry another request. */
  complete(keep: boolean): void;
  /** There is no answer, and nothing was written yet. */
  refuse(error: GatewayError): void;
  upgraded(upstream: Duplex): void;
  /** The answer is a raw stream: from here on everything the client sends belongs to it. */
  raw(): void;
}

/** One request and its answer. */
class Call {
  readonly #client: Duplex;
  readonly #head: RequestHead;
  readonly #options: CarryOptions;
  readonly #events: CallEvents;
  readonly #body: BodyReader;
  /** The body so far, as long as the request can be sent again. */
  #copy: Buffer[] | undefined = [];
  #copied = 0;
  #upstream: Upstream | undefined;
  #authorization: string | undefined;
  /** An answer held back while a new credential is looked for. */
  #held: { readonly head: AnswerHead; readonly chunks: Buffer[]; ended: boolean } | undefined;
  #renewed = false;
  #headed = false;
  #framing: 'none' | 'length' | 'chunked' | 'close' = 'none';
  #close = false;
  #over = false;
  #isUpgraded = false;
  /** The client's bytes belong to the answer's raw stream. */
  #isRaw = false;
  /** The client may be about to leave HTTP: bytes behind the request, and the end, belong to the upgraded stream. */
  #mayUpgrade: boolean;

  constructor(client: Duplex, head: RequestHead, options: CarryOptions, events: CallEvents) {
    this.#client = client;
    this.#head = head;
    this.#options = options;
    this.#events = events;
    this.#body = new BodyReader(head.body);
    this.#mayUpgrade = head.upgrade !== undefined;
  }

  /** Whether the request's body is complete. */
  get isUploaded(): boolean {
    return this.#body.done;
  }

  start(): void {
    if (this.#body.done && this.#mayUpgrade) this.#client.pause();
    this.#send(false).catch((error: unknown) => this.#fail(error));
  }

  /** Takes what of `data` is body. @returns the bytes taken */
  upload(data: Buffer): number {
    if (this.#over || data.length === 0) return 0;
    if (this.#isRaw) {
      this.#pass(data);
      return data.length;
    }
    if (this.#body.done) return 0;
    let taken: number;
    try {
      taken = this.#body.take(data);
    } catch (error) {
      this.#fail(error);
      return data.length;
    }
    const part = taken === data.length ? data : data.subarray(0, taken);
    this.#copied += part.length;
    if (this.#copied > REPLAY_BYTES && this.#upstream !== undefined) this.#copy = undefined;
    this.#copy?.push(part);
    // There is no upstream yet: the part is kept, and no more is read.
    if (this.#upstream === undefined) this.#client.pause();
    else this.#pass(part);
    if (this.#body.done && this.#mayUpgrade) this.#client.pause();
    return taken;
  }

  #pass(data: Buffer): void {
    const { socket } = this.#upstream as Upstream;
    if (socket.write(data)) return;
    this.#client.pause();
    socket.once('drain', () => this.#resumeClient());
  }

  #resumeClient(): void {
    if (!this.#over && !(this.#body.done && this.#mayUpgrade)) this.#client.resume();
  }

  /** The client ended its side. For an ordinary request that is a cancel, once a short answer had its chance. */
  clientEnded(): void {
    if (this.#over) return;
    if (!this.#body.done) {
      this.cancel();
      this.#client.destroy();
      return;
    }
    if (this.#isRaw) this.#upstream?.socket.end();
    if (this.#isRaw || this.#mayUpgrade) return;
    setTimeout(() => {
      if (this.#over) return;
      this.cancel();
      this.#client.destroy();
    }, CANCEL_GRACE_MS).unref?.();
  }

  /** The client is gone. */
  cancel(): void {
    this.#over = true;
    this.#upstream?.drop();
  }

  async #send(fresh: boolean): Promise<void> {
    const { upstreams, credentials } = this.#options;
    this.#authorization = await credentials.authorization();
    const upstream = await upstreams.take(fresh);
    if (this.#over) {
      upstream.drop();
      return;
    }
    this.#upstream = upstream;
    upstream.begin(this.#head.method, {
      onInterim: (status) => {
        if (status === 100 && !this.#headed) this.#client.write('HTTP/1.1 100 Continue\r\n\r\n');
      },
      onHead: (head) => this.#onHead(head),
      onBody: (chunk) => {
        if (this.#held === undefined) this.#write(chunk);
        else this.#held.chunks.push(chunk);
      },
      onEnd: (rest) => this.#onEnd(rest),
      onBroken: (error, untouched) => this.#onBroken(error, untouched),
    });
    const { socket } = upstream;
    socket.cork();
    socket.write(this.#headText(), 'latin1');
    let ready = true;
    for (const part of this.#copy ?? []) ready = socket.write(part);
    socket.uncork();
    if (this.#copied > REPLAY_BYTES) this.#copy = undefined;
    if (ready) this.#resumeClient();
    else socket.once('drain', () => this.#resumeClient());
  }

  #headText(): string {
    const { method, target, headers, upgrade } = this.#head;
    let text = `${method} ${target} HTTP/1.1\r\nHost: ${this.#options.upstreams.host}\r\n`;
    if (this.#authorization !== undefined) text += `Authorization: ${this.#authorization}\r\n`;
    for (let i = 0; i + 1 < headers.length; i += 2) {
      if (!OWN.test(headers[i] as string)) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
    }
    if (upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
    return `${text}\r\n`;
  }

  #onHead(head: AnswerHead): void {
    const refused = this.#authorization;
    if (head.status !== 401 || this.#renewed || refused === undefined || this.#copy === undefined) {
      this.#deliverHead(head);
      return;
    }
    // The credential may just have been replaced: one look, and one more try with the same request.
    this.#renewed = true;
    this.#held = { head, chunks: [], ended: false };
    this.#upstream?.socket.pause();
    this.#options.credentials
      .renew(refused)
      .catch(() => false)
      .then((changed) => {
        if (this.#over) return;
        const held = this.#held;
        this.#held = undefined;
        if (changed && this.#copy !== undefined) {
          this.#upstream?.drop();
          this.#upstream = undefined;
          return this.#send(true);
        }
        if (held === undefined) return;
        this.#deliverHead(held.head);
        for (const chunk of held.chunks) this.#write(chunk);
        if (held.ended) this.#complete();
        else this.#upstream?.socket.resume();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  #deliverHead(head: AnswerHead): void {
    const { status, reason, headers } = head;
    const minor = this.#head.minor;
    this.#headed = true;
    this.#copy = undefined;
    // The head and the bytes that came with it leave as one write.
    this.#client.cork();
    process.nextTick(() => this.#client.uncork());
    if (status === 101) {
      this.#isUpgraded = true;
      this.#client.write(headText(status, reason, headers), 'latin1');
      return;
    }
    const kept = answerHeaders(headers);
    const has = (name: string) => headers.some((value, i) => i % 2 === 0 && value.toLowerCase() === name);
    if (this.#head.method === 'HEAD' || status === 204 || status === 304) this.#framing = 'none';
    else if (has('transfer-encoding')) this.#framing = minor === 1 ? 'chunked' : 'close';
    else this.#framing = has('content-length') ? 'length' : 'close';
    // An answer to an unfinished upload ends the connection: where the next request would begin is unknown.
    this.#close = this.#head.close || this.#framing === 'close' || !this.#body.done;
    if (this.#framing === 'chunked') kept.push('Transfer-Encoding', 'chunked');
    if (this.#close) kept.push('Connection', 'close');
    this.#client.write(headText(status, reason, kept), 'latin1');
    const type = kept.find((_, i) => i % 2 === 1 && kept[i - 1]?.toLowerCase() === 'content-type') ?? '';
    if (this.#framing === 'close' && !has('transfer-encoding') && RAW_STREAM.test(type)) {
      this.#isRaw = true;
      this.#events.raw();
    }
    if (this.#mayUpgrade) {
      this.#mayUpgrade = false;
      this.#resumeClient();
    }
  }

  #write(chunk: Buffer): void {
    if (this.#over || this.#framing === 'none') return;
    const client = this.#client;
    let ready: boolean;
    if (this.#framing === 'chunked') {
      client.cork();
      client.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
      client.write(chunk);
      ready = client.write('\r\n', 'latin1');
      client.uncork();
    } else ready = client.write(chunk);
    if (ready) return;
    const socket = this.#upstream?.socket;
    socket?.pause();
    client.once('drain', () => socket?.resume());
  }

  #onEnd(rest: Buffer): void {
    if (this.#held !== undefined) {
      this.#held.ended = true;
      return;
    }
    if (this.#over) return;
    if (this.#isUpgraded) this.#hijack(rest);
    else this.#complete();
  }

  #complete(): void {
    if (this.#over) return;
    this.#over = true;
    const upstream = this.#upstream as Upstream;
    if (this.#framing === 'chunked') this.#client.write('0\r\n\r\n', 'latin1');
    if (this.#body.done) this.#options.upstreams.give(upstream);
    else upstream.drop();
    this.#events.complete(!this.#close);
  }

  /** The connection leaves HTTP: bytes both ways from here on. */
  #hijack(rest: Buffer): void {
    this.#over = true;
    const socket = (this.#upstream as Upstream).release();
    if (rest.length > 0) socket.unshift(rest);
    this.#events.upgraded(socket);
  }

  #onBroken(error: unknown, untouched: boolean): void {
    if (this.#over || this.#held?.ended) return;
    this.#held = undefined;
    const stale = this.#upstream?.used === true;
    const idempotent = this.#head.method === 'GET' || this.#head.method === 'HEAD';
    this.#upstream = undefined;
    // A kept connection may have been closed just now. Asking again is safe only if the gateway cannot have acted.
    if (untouched && stale && idempotent && this.#copy !== undefined)
      this.#send(true).catch((e: unknown) => this.#fail(e));
    else this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#upstream?.drop();
    // After the head only a broken connection tells the client that this is not the whole answer.
    if (this.#headed) this.#client.destroy();
    else this.#events.refuse(this.#options.upstreams.trouble(error));
  }
}

function headText(status: number, reason: string, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n`;
}
