// A unix socket as a file: made with no more rights than it ends up with, never over another owner's, in a folder where
// only its owner and root can replace it, removed at the end.
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';
import { GatewayError } from '../errors.ts';

/** Longest wait for the name service, in ms. */
const NAME_SERVICE_MS = 5000;

/**
 * Makes a server listen on a socket file.
 *
 * @param mode permission bits
 * @param group of the file, by name or number; without it the process's own
 * @returns removes the file, unless another has taken its place
 * @throws {GatewayError} `config-invalid` when the place is taken or cannot be used, or the group cannot be given
 */
export async function bindSocket(server: net.Server, path: string, mode: number, group?: string): Promise<() => void> {
  try {
    const gid = group === undefined ? undefined : await groupId(group);
    mkdirSync(dirname(path), { recursive: true });
    await removeStaleSocket(path);
    await listenPrivately(server, path);
    try {
      if (gid !== undefined) giveTo(path, gid, group as string);
      chmodSync(path, mode);
    } catch (error) {
      server.close();
      rmSync(path, { force: true });
      throw error;
    }
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError('config-invalid', `cannot listen on unix:${path}: ${reason}`, { cause });
  }
  const { ino } = lstatSync(path);
  return () => {
    if (existsSync(path) && lstatSync(path).ino === ino) rmSync(path, { force: true });
  };
}

/** The socket file is made by `listen` itself, in both runtimes, so the mask is back before anything else can run. */
function listenPrivately(server: net.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function giveTo(path: string, gid: number, group: string): void {
  try {
    chownSync(path, lstatSync(path).uid, gid);
  } catch (cause) {
    throw new GatewayError(
      'config-invalid',
      `cannot give unix:${path} to group ${group}: run the gateway as a member of it`,
      { cause },
    );
  }
}

/**
 * Number of a group.
 *
 * @param group name as the machine knows it, or a number
 * @throws {GatewayError} `config-invalid` for an unknown name
 */
export async function groupId(group: string): Promise<number> {
  if (/^[0-9]{1,10}$/.test(group)) return Number(group);
  const line = lineOf(readIfThere('/etc/group'), group) ?? lineOf(await askNameService(group), group);
  const gid = Number(line?.split(':')[2]);
  if (line === undefined || !Number.isSafeInteger(gid)) {
    throw new GatewayError('config-invalid', `there is no group ${group} on the gateway's machine`);
  }
  return gid;
}

const lineOf = (text: string, group: string): string | undefined =>
  text.split('\n').find((line) => line.startsWith(`${group}:`));

const readIfThere = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

/** Groups of a directory service are not in the file. */
const askNameService = (group: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('getent', ['group', group], { timeout: NAME_SERVICE_MS }, (error, stdout) =>
      resolve(error === null ? stdout : ''),
    );
  });

/**
 * Refuses a place where another user could replace the socket: every user who may write to a folder above it can.
 *
 * @throws {GatewayError} `config-invalid`
 */
export function checkSocketFolder(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) throw new GatewayError('config-invalid', `there is no folder ${folder}; make it first`);
  const own = process.getuid?.() ?? 0;
  for (let at = realpathSync(folder); ; at = dirname(at)) {
    const { mode, uid, isFolder } = statOf(at);
    if (!isFolder) throw new GatewayError('config-invalid', `${at} is no folder`);
    if (uid !== 0 && uid !== own) {
      throw new GatewayError('config-invalid', `${at} belongs to another user, who could put another socket there`);
    }
    const isSticky = (mode & 0o1000) !== 0;
    if ((mode & 0o022) !== 0 && !isSticky) {
      throw new GatewayError(
        'config-invalid',
        `others may write to ${at} and could put another socket there; take the right away (chmod go-w)`,
      );
    }
    if (dirname(at) === at) return;
  }
}

function statOf(folder: string): { mode: number; uid: number; isFolder: boolean } {
  const stat = lstatSync(folder);
  return { mode: stat.mode, uid: stat.uid, isFolder: stat.isDirectory() };
}

/** Removes a socket file without a listener; one that answers belongs to another process and is left alone. */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new GatewayError(
      'config-invalid',
      `cannot listen on unix:${path}: a file that is not a socket is in its place`,
    );
  }
  const alive = await new Promise<boolean>((resolve) => {
    const probe = net.connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (alive) throw new GatewayError('config-invalid', `cannot listen on unix:${path}: another process listens there`);
  rmSync(path, { force: true });
}
