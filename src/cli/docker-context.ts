// The docker CLI's context store, as far as a context for a gateway needs it: meta.json under the SHA-256 of the name, TLS
// material beside it. See https://docs.docker.com/engine/manage-resources/contexts/ and `docker context inspect`.
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import type { Environment } from './client.ts';

/** What the docker CLI takes as a name. */
const CONTEXT_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;
export const CONTEXT_NAME_RULE = 'use two or more letters, digits and _ . + -, beginning with a letter or digit';
export const isContextName = (name: string): boolean => CONTEXT_NAME.test(name) && name !== 'default';

export interface TlsMaterial {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface DockerContext {
  readonly name: string;
  readonly description: string;
  /** `tcp://host:port` or `unix:///path`. */
  readonly host: string;
  readonly tls?: TlsMaterial;
}

/** Folders of a context, there or not. */
export interface ContextFolders {
  readonly meta: string;
  readonly tls: string;
  /** Where `ca.pem`, `cert.pem` and `key.pem` are: a DOCKER_CERT_PATH. */
  readonly certificates: string;
}

/** @param env DOCKER_CONFIG names the docker CLI's folder; without it `~/.docker` */
export const contextFolders = (name: string, env: Environment): ContextFolders => {
  const id = createHash('sha256').update(name).digest('hex');
  const contexts = join(resolve(env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker')), 'contexts');
  const tls = join(contexts, 'tls', id);
  return { meta: join(contexts, 'meta', id), tls, certificates: join(tls, 'docker') };
};

export const contextExists = ({ meta }: ContextFolders): boolean => existsSync(join(meta, 'meta.json'));

/** Writes the context, over an earlier one of its name. Its material comes first: what docker lists is whole. */
export const writeContext = (folders: ContextFolders, { name, description, host, tls }: DockerContext): void => {
  if (tls === undefined) rmSync(folders.tls, { recursive: true, force: true });
  else {
    mkdirSync(folders.certificates, { recursive: true, mode: 0o700 });
    for (const folder of [folders.tls, folders.certificates]) chmodSync(folder, 0o700);
    replaceFile(join(folders.certificates, 'key.pem'), tls.key, 0o600);
    replaceFile(join(folders.certificates, 'cert.pem'), tls.certificate, 0o600);
    replaceFile(join(folders.certificates, 'ca.pem'), tls.ca, 0o600);
  }
  mkdirSync(folders.meta, { recursive: true, mode: 0o755 });
  const meta = {
    Name: name,
    Metadata: { Description: description },
    Endpoints: { docker: { Host: host, SkipTLSVerify: false } },
  };
  replaceFile(join(folders.meta, 'meta.json'), JSON.stringify(meta), 0o644);
};

/** The file never exists with other rights or half its text. */
export const replaceFile = (file: string, text: string, mode: number): void => {
  const temporary = `${file}.${process.pid}`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, text, { mode, flag: 'wx' });
  renameSync(temporary, file);
};
