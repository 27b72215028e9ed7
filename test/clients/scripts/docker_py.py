"""docker-py, verb by verb: prints one JSON line for each, so that two runs can be compared. Arguments: PREFIX."""

import io
import json
import os
import sys
import tarfile
import time

import docker

PREFIX = sys.argv[1]
IMAGE = "busybox:test"
STARTED = int(time.time())


def connect():
    host = os.environ["DOCKER_HOST"]
    folder = os.environ.get("DOCKER_CERT_PATH")
    if folder is None:
        return docker.DockerClient(base_url=host, version="auto", timeout=30)
    pair = (os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
    tls = docker.tls.TLSConfig(
        ca_cert=os.path.join(folder, "ca.pem"),
        client_cert=pair if os.path.exists(pair[0]) else None,
        verify=True,
    )
    return docker.DockerClient(base_url=host.replace("tcp://", "https://"), version="auto", tls=tls, timeout=30)


def tell(name, work):
    try:
        result = work()
    except docker.errors.APIError as error:
        result = {"error": type(error).__name__, "status": error.status_code, "why": (error.explanation or "")[:200]}
    except docker.errors.DockerException as error:
        result = {"error": type(error).__name__}
    text = json.dumps({name: result}, default=lambda value: value.decode() if isinstance(value, bytes) else str(value))
    print(text.replace(PREFIX, "PREFIX"), flush=True)


def archive(name, text):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return data.getvalue()


client = connect()
api = client.api


def main():
    tell("ping", client.ping)
    tell("version", lambda: client.version()["Version"])
    tell("info", lambda: client.info()["OSType"])
    tell(
        "run",
        lambda: client.containers.run(
            IMAGE, ["sh", "-c", "echo out; echo err >&2"], network_mode="none", remove=True, stdout=True, stderr=False
        ),
    )
    tell("run fails", lambda: client.containers.run(IMAGE, ["sh", "-c", "exit 4"], network_mode="none", remove=True))
    box = client.containers.run(
        IMAGE, ["sh", "-c", "echo ready; exec sleep 300"], network_mode="none", name=PREFIX + "-box", detach=True
    )
    while b"ready" not in box.logs():
        time.sleep(0.05)
    tell("status", lambda: (box.reload(), box.status)[1])
    tell("list", lambda: [c.name for c in client.containers.list(filters={"name": PREFIX + "-box"})])
    tell("get absent", lambda: client.containers.get(PREFIX + "-absent"))
    tell("logs", box.logs)
    tell("logs stream", lambda: next(iter(box.logs(stream=True, follow=True))))
    tell("exec", lambda: list(box.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)))
    tell("exec stream", lambda: b"".join(box.exec_run(["sh", "-c", "echo a; echo b"], stream=True).output))

    def exec_socket():
        made = api.exec_create(box.id, ["cat"], stdin=True)
        sock = api.exec_start(made["Id"], socket=True)
        raw = getattr(sock, "_sock", sock)
        raw.sendall(b"through the socket\n")
        raw.settimeout(10)
        data = b""
        while b"socket\n" not in data:
            data += raw.recv(4096)
        sock.close()
        return data[8:]

    tell("exec socket", exec_socket)
    tell("top", lambda: [row[-1] for row in box.top()["Processes"]])
    tell("put", lambda: box.put_archive("/tmp", archive("in.txt", b"carried")))
    tell("get", lambda: (lambda found: (found[1]["name"], len(b"".join(found[0])) > 0))(box.get_archive("/tmp/in.txt")))
    tell("get absent file", lambda: box.get_archive("/absent"))
    tell("diff", lambda: sorted(change["Path"] for change in box.diff()))
    tell("stats", lambda: sorted(box.stats(stream=False))[:3])
    tell("stats stream", lambda: "read" in json.loads(next(iter(box.stats(stream=True)))))
    tell("update", lambda: box.update(mem_limit="64m", memswap_limit="64m")["Warnings"])
    tell("rename", lambda: (box.rename(PREFIX + "-other"), box.rename(PREFIX + "-box"))[0])
    tell("pause", lambda: (box.pause(), box.reload(), box.status)[2])
    tell("unpause", box.unpause)
    tell("restart", lambda: box.restart(timeout=0))
    tell("start twice", box.start)
    tell("remove running", box.remove)
    tell("kill", lambda: box.kill("KILL"))
    tell("wait", lambda: box.wait()["StatusCode"])
    tell("kill stopped", box.kill)
    tell("stop stopped", lambda: box.stop(timeout=0))

    def attach_socket():
        made = api.create_container(
            IMAGE, ["cat"], stdin_open=True, host_config=api.create_host_config(network_mode="none"), name=PREFIX + "-cat"
        )
        try:
            sock = api.attach_socket(made["Id"], params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            api.start(made["Id"])
            raw = getattr(sock, "_sock", sock)
            raw.sendall(b"attached\n")
            raw.settimeout(10)
            data = b""
            while b"attached\n" not in data:
                data += raw.recv(4096)
            sock.close()
            return data[8:]
        finally:
            api.remove_container(made["Id"], force=True)

    tell("attach socket", attach_socket)
    tell("commit", lambda: box.commit(PREFIX + "-image", "1").tags)
    tell("tag", lambda: client.images.get(PREFIX + "-image:1").tag(PREFIX + "-image", "2"))
    tell("images", lambda: sorted(tag for i in client.images.list(PREFIX + "-image") for tag in i.tags))
    tell("history", lambda: len(client.images.get(PREFIX + "-image:1").history()) > 1)
    saved = b"".join(client.images.get(PREFIX + "-image:1").save(named=True))
    tell("save", lambda: len(saved) > 1000)
    tell("load", lambda: client.images.load(saved)[0].tags[:1])
    tell("import", lambda: "error" in api.import_image_from_data(b"", repository=PREFIX + "-nothing"))
    tell("export", lambda: len(b"".join(box.export())) > 1000)

    def build():
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            text = f"FROM busybox:test\nLABEL prefix={PREFIX}\nARG A\nRUN echo $A > /built\n".encode()
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        context.seek(0)
        image, _ = client.images.build(
            fileobj=context,
            custom_context=True,
            tag=PREFIX + "-built:1",
            buildargs={"A": "b"},
            network_mode="none",
            rm=True,
        )
        return [tag for tag in image.tags if tag.startswith(PREFIX)]

    tell("build", build)
    tell("remove images", lambda: [client.images.remove(PREFIX + n, force=True) for n in ("-image:1", "-image:2", "-built:1")])
    tell("pull", lambda: client.images.pull("127.0.0.1:1/absent", tag="1"))
    tell("push", lambda: client.images.push("127.0.0.1:1/" + PREFIX, tag="1"))
    volume = client.volumes.create(PREFIX + "-v", labels={"a": "b"})
    tell("volume", lambda: (volume.name, volume.attrs["Labels"]))
    tell("volumes", lambda: [v.name for v in client.volumes.list(filters={"name": PREFIX + "-v"})])
    tell("volume remove", volume.remove)
    network = client.networks.create(PREFIX + "-n", internal=True)
    tell("network", lambda: [n.name for n in client.networks.list(names=[PREFIX + "-n"])])
    tell("network remove", network.remove)
    def prune():
        # The engine prunes for one caller at a time.
        while True:
            try:
                return client.containers.prune(filters={"label": PREFIX + "-none"})["SpaceReclaimed"]
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                time.sleep(0.1)

    tell("prune", prune)
    tell("df", lambda: sorted(client.df())[:3])
    tell("remove", lambda: box.remove(v=True))
    tell(
        "events",
        lambda: [e["Action"] for e in client.events(since=STARTED, until=int(time.time()) + 1, filters={"container": PREFIX + "-box", "event": "destroy"}, decode=True)],
    )
    tell("swarm", lambda: client.services.list())


try:
    main()
finally:
    for left in client.containers.list(all=True, filters={"name": PREFIX}):
        left.remove(force=True)
