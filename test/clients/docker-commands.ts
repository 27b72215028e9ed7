// Every kind of command of the docker CLI as one script: it is run straight against the engine and through the gateway, and
// must read the same. `$P` stands for the names' prefix, `$D` for a scratch folder, `$T` for the time of its start, `$N` for the next second. Formats keep what differs by nature
// (ages, sizes) out of the text.

export interface Step {
  readonly args: string;
  readonly input?: string;
}

const step = (args: string, input?: string): Step => (input === undefined ? { args } : { args, input });

/** Containers, images, volumes and networks are made, looked at, used and taken away, in this order. */
export const STEPS: readonly Step[] = [
  step('version --format {{.Server.Version}}/{{.Server.APIVersion}}'),
  step('info --format {{.ServerVersion}}/{{.Driver}}/{{.OSType}}'),
  // containers
  step("run -d --network none --name $P-c busybox:test sh -c 'echo one; echo two >&2; exec sleep 300'"),
  step('inspect --format {{.Name}}/{{.State.Running}}/{{.HostConfig.NetworkMode}} $P-c'),
  step('inspect $P-absent'),
  step('inspect --type container $P-absent'),
  step('inspect --format {{.Os}} busybox:test'),
  step('inspect --format {{.Name}} none'),
  step('ps -a --filter name=^$P-c$ --format {{.Names}}/{{.Image}}/{{.State}}'),
  step('ps -a --no-trunc --filter label=$P-absent'),
  step('ps --filter status=nonsense'),
  step('logs $P-c'),
  step('logs $P-absent'),
  step('top $P-c -eo comm'),
  step('port $P-c'),
  step('exec $P-c touch /made'),
  step('exec -i $P-c cat', 'through standard input\n'),
  step("exec -e A=b -w /tmp $P-c sh -c 'pwd; echo $A; exit 3'"),
  step('exec $P-c no-such-program'),
  step('exec -d $P-c true'),
  step('exec $P-absent true'),
  step('diff $P-c'),
  step('stats --no-stream --format {{.Name}} $P-c'),
  step('update --memory 64m --memory-swap 64m $P-c'),
  step('rename $P-c $P-d'),
  step('rename $P-d $P-c'),
  step('pause $P-c'),
  step('pause $P-c'),
  step('unpause $P-c'),
  step('restart -t 0 $P-c'),
  step('kill -s CONT $P-c'),
  step('kill -s NONSENSE $P-c'),
  step('cp $P-c:/etc/passwd $D/passwd'),
  step('cp $D/passwd $P-c:/tmp/again'),
  step('exec $P-c cat /tmp/again'),
  step('cp $P-c:/absent $D/absent'),
  step('cp $D/passwd $P-c:/absent/folder/file'),
  step('cp $D/passwd $P-absent:/x'),
  step('rm $P-c'),
  step('start $P-c'),
  step('stop -t 0 $P-c'),
  step('stop -t 0 $P-c'),
  step('exec $P-c true'),
  step('wait $P-c'),
  step('kill $P-c'),
  step('start $P-c'),
  step("create --network none --name $P-s busybox:test sh -c 'echo started; exit 4'"),
  step('start -a $P-s'),
  step('create -i --network none --name $P-i busybox:test cat'),
  step('start -ai $P-i', 'to a started container\n'),
  step('logs --tail 1 $P-i'),
  step("run -d --network none --name $P-a busybox:test sh -c 'sleep 3; echo late; exit 5'"),
  step('attach --no-stdin $P-a'),
  step('attach $P-a'),
  step("run --rm -i --network none busybox:test sh -c 'cat; echo err >&2; exit 9'", 'to a new container\n'),
  step('run --rm --network none busybox:test no-such-program'),
  step('run --rm --network none --memory 1k busybox:test true'),
  step('run --rm --network none --name $P-c busybox:test true'),
  step('run --rm --network $P-absent busybox:test true'),
  step('run --rm 127.0.0.1:1/absent:1 true'),
  step("run --rm --network host -v $D:/in:ro -e X=y --workdir /in busybox:test sh -c 'ls; echo $X'"),
  step('checkpoint ls $P-c'),
  // images
  step('commit -m message $P-c $P-image:1'),
  step('tag $P-image:1 $P-image:2'),
  step('tag $P-absent:1 $P-image:3'),
  step('images --filter reference=$P-image --format {{.Repository}}:{{.Tag}}'),
  step('history --format {{.CreatedBy}}/{{.Comment}} $P-image:1'),
  step('image inspect --format {{.Os}}/{{.Comment}} $P-image:1'),
  step('save -o $D/saved.tar $P-image:2'),
  step('rmi $P-image:2'),
  step('load -i $D/saved.tar'),
  step('export -o $D/exported.tar $P-c'),
  step('import -m imported $D/exported.tar $P-import:1'),
  step('run --rm --network none $P-import:1 cat /tmp/again'),
  step('load -i $D/passwd'),
  step('rmi $P-absent:1'),
  step('rmi -f $P-image:1 $P-image:2 $P-import:1'),
  step('pull 127.0.0.1:1/absent:1'),
  step('tag busybox:test 127.0.0.1:1/$P:1'),
  step('push 127.0.0.1:1/$P:1'),
  step('rmi 127.0.0.1:1/$P:1'),
  step('login -u user --password-stdin 127.0.0.1:1', 'password'),
  step('search 127.0.0.1:1/x'),
  step('image prune -f --filter label=$P-absent'),
  // volumes
  step('volume create --label a=b $P-v'),
  step('volume ls -q --filter name=$P-v'),
  step('volume inspect --format {{.Name}}/{{.Driver}}/{{.Labels.a}} $P-v'),
  step('inspect --format {{.Name}} $P-v'),
  step('run --rm --network none -v $P-v:/data busybox:test touch /data/file'),
  step('run --rm --network none --mount type=volume,src=$P-v,dst=/data busybox:test ls /data'),
  step('volume inspect $P-absent'),
  step('volume rm $P-v'),
  step('volume rm $P-v'),
  step('volume prune -f --filter label=$P-absent'),
  // networks
  step('network ls --filter name=^host$ --format {{.Name}}/{{.Driver}}'),
  step('network inspect --format {{.Driver}} host'),
  step('network create --internal --driver bridge --label a=b $P-n'),
  step('network inspect --format {{.Internal}}/{{.Labels.a}} $P-n'),
  step('network connect $P-n $P-c'),
  step('run -d --network $P-n --name $P-b busybox:test sleep 300'),
  step('network disconnect $P-n $P-b'),
  step('network connect --alias other $P-n $P-b'),
  step('rm -f $P-b'),
  step('network rm $P-n'),
  step('network rm $P-absent'),
  step('network rm none'),
  step('network prune -f --filter label=$P-absent'),
  // the engine as a whole
  step('system df --format {{.Type}}'),
  step('container prune -f --filter label=$P-absent'),
  step('system prune -f --filter until=240h --filter label=$P-absent'),
  step('plugin ls --format {{.Name}}'),
  step('plugin inspect $P-absent'),
  step('node ls'),
  step('service ls'),
  step('secret ls'),
  step('config ls'),
  step('stack ls'),
  step('swarm join-token worker'),
  step('service inspect $P-absent'),
  step('context ls --format {{.Name}}'),
  step('rm -f -v $P-c $P-s $P-i $P-a'),
  step('events --since $T --until $N --filter container=$P-c --filter event=destroy --format {{.Action}}'),
  step('rm $P-c'),
];

/** Splits a command line; single quotes hold an argument together. */
export const splitArguments = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? (plain as string));

/** Text without what differs by nature: ids, digests, times, and the names this run chose. */
export function plainText(text: string, names: Readonly<Record<string, string>>): string {
  let plain = text;
  for (const [word, value] of Object.entries(names)) plain = plain.replaceAll(value, word);
  return (
    plain
      .replace(/\b[0-9a-f]{64}\b/g, 'ID')
      .replace(/\b[0-9a-f]{12}\b/g, 'ID')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)/g, 'TIME')
      .replace(/127\.0\.0\.1:\d{4,5}(->|\b)/g, 'ADDRESS$1')
      // Two runs at once may share a layer, which then goes with the second.
      .replace(/^Deleted: sha256:ID\n/gm, '')
  );
}
