// A private Docker Engine for one test run, where dockerd is installed and the caller is root: own state, own socket,
// no bridge, no packet filter rules, and the image busybox:test made from the machine's static busybox.
import { execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Starts dockerd and waits for it. @throws when it does not answer within 30 s or there is no static busybox */
export async function startPrivateEngine(): Promise<{ socket: string; stop(): Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-engine-'));
  const socket = join(dir, 'docker.sock');
  const log = openSync(join(dir, 'log'), 'w');
  const daemon = spawn(
    'dockerd',
    ['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '--pidfile', join(dir, 'pid')].concat([
      '-H',
      `unix://${socket}`,
      '--iptables=false',
      '--ip6tables=false',
      '--bridge=none',
      '--storage-driver=overlay2',
    ]),
    { stdio: ['ignore', log, log] },
  );
  const exited = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
  const stop = async () => {
    daemon.kill('SIGTERM');
    await exited;
    try {
      execFileSync('umount', ['-R', join(dir, 'data')], { stdio: 'ignore' });
    } catch {
      // nothing was mounted there
    }
    try {
      // A container on the host's network leaves this one mounted.
      execFileSync('umount', [join(dir, 'exec', 'netns', 'default')], { stdio: 'ignore' });
    } catch {
      // nothing was mounted there
    }
    rmSync(dir, { recursive: true, force: true });
  };
  for (let i = 0; i < 120; i++) {
    if (await answers(socket)) {
      importBusybox(dir, socket);
      return { socket, stop };
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const tail = readFileSync(join(dir, 'log'), 'utf8').split('\n').slice(-10).join('\n');
  await stop();
  throw new Error(`dockerd did not answer; the end of its log:\n${tail}`);
}

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ socketPath, path: '/_ping', timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.on('error', () => resolve(false));
  });

function importBusybox(dir: string, socket: string): void {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find(existsSync);
  if (busybox === undefined)
    throw new Error('the tests need a static busybox (package busybox-static) to make an image from');
  const root = join(dir, 'root');
  for (const folder of ['bin', 'tmp', 'etc']) mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(busybox, join(root, 'bin', 'busybox'));
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\n');
  for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean)) {
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  const tar = execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 64 * 1024 * 1024 });
  execFileSync(
    'curl',
    [
      '-fsS',
      '--unix-socket',
      socket,
      '-X',
      'POST',
      '-H',
      'Content-Type: application/x-tar',
      '--data-binary',
      '@-',
    ].concat([
      'http://docker/images/create?fromSrc=-&repo=busybox&tag=test&changes=CMD%20%5B%22sh%22%5D&changes=ENV%20PATH%3D%2Fbin',
    ]),
    { input: tar },
  );
}
