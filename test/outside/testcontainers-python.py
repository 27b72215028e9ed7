# testcontainers-python against DOCKER_HOST on an engine with a bridge: one line a step, "step: what came of it". Argument: prefix.
import sys
import tempfile
import urllib.error
import urllib.request

from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

PREFIX = sys.argv[1]


def say(step, run):
    try:
        told = run()
    except Exception as error:
        told = f"FAILED {type(error).__name__} {error}"
    print(f"{step}: {' '.join(str(told).split())}", flush=True)


def logs():
    with DockerContainer("busybox:test").with_command("sh -c 'echo ready; sleep 100'") as one:
        wait_for_logs(one, "ready", timeout=20)
        return one.get_logs()[0].decode().strip()


def execs():
    with DockerContainer("busybox:test").with_command("sleep 100").with_env("A", "b") as one:
        return one.exec("sh -c 'echo $A'")


def port():
    with DockerContainer("busybox:test").with_command("httpd -f -p 80").with_exposed_ports(80) as one:
        for _ in range(20):
            try:
                urllib.request.urlopen(f"http://{one.get_container_host_ip()}:{one.get_exposed_port(80)}/")
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                pass


def network():
    with Network() as net:
        web = DockerContainer("busybox:test").with_command("httpd -f -p 80").with_network(net).with_network_aliases("web")
        with web, DockerContainer("busybox:test").with_command("sleep 100").with_network(net) as asks:
            return "404" in asks.exec("wget -q -O - http://web/").output.decode()


def build():
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/Dockerfile", "w") as file:
            file.write('FROM busybox:test\nCMD ["sleep","100"]\n')
        with DockerImage(path=folder, tag=f"{PREFIX}:built") as image, DockerContainer(str(image)) as one:
            return one.get_wrapped_container().status in ("created", "running")


def volume():
    with DockerContainer("busybox:test").with_command("sleep 100").with_volume_mapping(f"{PREFIX}-v", "/data", "rw") as one:
        return one.exec("touch /data/file").exit_code


for name, run in (("logs", logs), ("exec", execs), ("port", port), ("network", network), ("build", build), ("volume", volume)):
    say(name, run)
