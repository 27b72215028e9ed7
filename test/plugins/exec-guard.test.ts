// Commands, users, terminal and variables of an exec; beside each denial its nearest allowed neighbour.
import { describe } from 'node:test';
import { pluginTable, table } from '../support/plugin-table.ts';

const exec = 'POST /containers/c/exec';
const G = { commands: [['ls', '...'], ['cat', '/var/log/*'], ['date']], users: ['', 'app', '1000*'], env: ['TZ'] };
const cmd = (...Cmd: string[]) => ({ Cmd });
const no = 'exec-command-denied';

describe('exec-guard', () => {
  table(pluginTable('exec-guard'), [
    [exec, cmd('ls'), G, 'pass'],
    [exec, cmd('ls', '-l', '/'), G, 'pass'],
    [exec, cmd('lsof'), G, no],
    [exec, cmd('ls -l'), G, no],
    [exec, cmd('/bin/ls'), G, no],
    [exec, cmd('cat', '/var/log/app.log'), G, 'pass'],
    [exec, cmd('cat', '/etc/passwd'), G, no],
    [exec, cmd('cat', '/var/log/../../etc/passwd'), G, no],
    [exec, cmd('cat', '/var/log/a', '/etc/passwd'), G, no],
    [exec, cmd('cat'), G, no],
    [exec, cmd('date'), G, 'pass'],
    [exec, cmd('date', '-s'), G, no],
    [exec, cmd(), G, no],
    [exec, { ...cmd('date'), Privileged: true }, G, 'exec-privileged'],
    [exec, { ...cmd('date'), Privileged: true }, {}, 'exec-privileged'],
    [exec, { ...cmd('date'), Privileged: false }, G, 'pass'],
    [exec, { ...cmd('date'), User: 'root' }, G, 'exec-user-denied'],
    [exec, { ...cmd('date'), User: '0' }, G, 'exec-user-denied'],
    [exec, { ...cmd('date'), User: 'app' }, G, 'pass'],
    [exec, { ...cmd('date'), User: 'app:0' }, G, 'exec-user-denied'],
    [exec, { ...cmd('date'), Tty: true }, G, 'pass'],
    [exec, { ...cmd('date'), Tty: true }, { ...G, tty: 'deny' }, 'exec-tty'],
    [exec, { ...cmd('date'), Env: ['TZ=UTC'] }, G, 'pass'],
    [exec, { ...cmd('date'), Env: ['LD_PRELOAD=/x.so'] }, G, 'exec-env-denied'],
    [exec, { ...cmd('date'), Env: ['TZ'] }, G, 'pass'],
    [exec, cmd('sh', '-c', 'x'), {}, 'pass'],
    [exec, { ...cmd('bin/tool'), WorkingDir: '/tmp' }, { commands: [['bin/tool']] }, 'exec-folder-denied'],
    [exec, { ...cmd('cat', 'log'), WorkingDir: '/etc' }, { commands: [['cat', 'log']] }, 'exec-folder-denied'],
    [exec, { ...cmd('bin/tool'), WorkingDir: '' }, { commands: [['bin/tool']] }, 'pass'],
    [exec, { ...cmd('bin/tool'), WorkingDir: '/srv/a' }, { commands: [['bin/tool']], workingDirs: ['/srv/*'] }, 'pass'],
    [
      exec,
      { ...cmd('bin/tool'), WorkingDir: '/srv/../tmp' },
      { commands: [['bin/tool']], workingDirs: ['/srv/*'] },
      'exec-folder-denied',
    ],
    [exec, { ...cmd('sh'), WorkingDir: '/tmp' }, {}, 'pass'],
  ]);
});
