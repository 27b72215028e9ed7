// Which of the plugins that come with this program run as it does; all others run sandboxed.

/** They need files of the machine, a unix socket, keys, the presets or tables of time zones. */
export const SHIPPED_TRUSTED: ReadonlySet<string> = new Set([
  'authz-adapter',
  'bind-mounts',
  'image-signatures',
  'no-privileged',
  'opa-wasm',
  'secret-inject',
  'time-window',
]);
