// `--mount` in the docker CLI's comma-separated form.
import { DockerCommandError } from './arguments.ts';
import { csvFields, hostPath, pairs, parseBytes } from './values.ts';

type Body = Record<string, unknown>;

const MOUNT_NAMES: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
};

/** `--mount type=bind,src=/a,dst=/b` as an element of HostConfig.Mounts. */
export const parseMount = (text: string): Body => {
  const mount: Body = { Type: 'volume' };
  const sub = (key: string): Body => {
    mount[key] ??= {};
    return mount[key] as Body;
  };
  const isOn = (given: string | undefined): boolean => given === undefined || /^(1|t|true)$/i.test(given);
  for (const field of csvFields(text)) {
    const equals = field.indexOf('=');
    const written = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const given = equals < 0 ? undefined : field.slice(equals + 1);
    const name = MOUNT_NAMES[written] ?? written;
    if (given === undefined && !['readonly', 'volume-nocopy', 'bind-nonrecursive'].includes(name)) {
      throw new DockerCommandError(`--mount field "${field}" must be key=value`);
    }
    switch (name) {
      case 'type':
        mount.Type = given?.toLowerCase();
        break;
      case 'source':
        mount.Source = hostPath(given ?? '');
        break;
      case 'target':
        mount.Target = given;
        break;
      case 'readonly':
        if (isOn(given)) mount.ReadOnly = true;
        break;
      case 'consistency':
        mount.Consistency = given;
        break;
      case 'bind-propagation':
        sub('BindOptions').Propagation = given;
        break;
      case 'bind-nonrecursive':
        sub('BindOptions').NonRecursive = isOn(given);
        break;
      case 'bind-recursive':
        if (given === 'disabled') sub('BindOptions').NonRecursive = true;
        if (given === 'writable') sub('BindOptions').ReadOnlyNonRecursive = true;
        if (given === 'readonly') sub('BindOptions').ReadOnlyForceRecursive = true;
        break;
      case 'volume-nocopy':
        sub('VolumeOptions').NoCopy = isOn(given);
        break;
      case 'volume-subpath':
        sub('VolumeOptions').Subpath = given;
        break;
      case 'volume-label': {
        const options = sub('VolumeOptions');
        options.Labels = { ...(options.Labels as object), ...pairs([given ?? '']) };
        break;
      }
      case 'volume-driver':
        sub('VolumeOptions').DriverConfig = { ...((mount.VolumeOptions as Body).DriverConfig as object), Name: given };
        break;
      case 'volume-opt': {
        const options = sub('VolumeOptions');
        const driver = (options.DriverConfig ?? {}) as Body;
        options.DriverConfig = { ...driver, Options: { ...(driver.Options as object), ...pairs([given ?? '']) } };
        break;
      }
      case 'image-subpath':
        sub('ImageOptions').Subpath = given;
        break;
      case 'tmpfs-size':
        sub('TmpfsOptions').SizeBytes = parseBytes('mount tmpfs-size', given ?? '');
        break;
      case 'tmpfs-mode':
        sub('TmpfsOptions').Mode = Number.parseInt(given ?? '', 8);
        break;
      default:
        throw new DockerCommandError(`--mount key "${written}" is not known here; use --request FILE`);
    }
  }
  return mount;
};
