// testcontainers-java against DOCKER_HOST: one line a step, "step: what came of it". Argument: prefix of labels.
import java.util.List;
import org.testcontainers.containers.*;
import org.testcontainers.containers.output.OutputFrame;
import org.testcontainers.containers.output.ToStringConsumer;
import org.testcontainers.containers.startupcheck.OneShotStartupCheckStrategy;
import org.testcontainers.containers.wait.strategy.*;
import org.testcontainers.images.builder.*;
import org.testcontainers.utility.*;

public class Tests {
  static GenericContainer<?> busybox(String... command) {
    return new GenericContainer<>(DockerImageName.parse("busybox:test")).withCommand(command)
        .withCreateContainerCmdModifier(cmd -> cmd.getHostConfig().withNetworkMode(cmd.getHostConfig().getNetworkMode()));
  }

  public static void main(String[] args) {
    Verbs.say("start", () -> {
      try (var one = busybox("sh", "-c", "echo ready; sleep 100").withNetworkMode("none").waitingFor(Wait.forLogMessage(".*ready.*", 1))) {
        one.start();
        return one.isRunning();
      }
    });
    Verbs.say("exec", () -> {
      try (var one = busybox("sleep", "100").withNetworkMode("none")) {
        one.start();
        return one.execInContainer("echo", "hello").getStdout().strip();
      }
    });
    Verbs.say("wait by exec", () -> {
      try (var one = busybox("sleep", "100").withNetworkMode("none").waitingFor(Wait.forSuccessfulCommand("true"))) {
        one.start();
        return one.isRunning();
      }
    });
    Verbs.say("copy", () -> {
      try (var one = busybox("sleep", "100").withNetworkMode("none").withCopyToContainer(Transferable.of("there"), "/tmp/file")) {
        one.start();
        return one.copyFileFromContainer("/tmp/file", stream -> new String(stream.readAllBytes()));
      }
    });
    Verbs.say("one shot", () -> {
      try (var one = busybox("echo", "once").withNetworkMode("none").withStartupCheckStrategy(new OneShotStartupCheckStrategy())) {
        one.start();
        return one.getLogs(OutputFrame.OutputType.STDOUT).strip();
      }
    });
    Verbs.say("build", () -> {
      var image = new ImageFromDockerfile("localhost/" + args[0] + "/built:1", true)
          .withDockerfileFromBuilder(builder -> builder.from("busybox:test").cmd("sleep", "100").build());
      try (var one = new GenericContainer<>(image).withNetworkMode("none")) {
        one.start();
        return one.isRunning();
      }
    });
    if (System.getenv("HAS_BRIDGE") != null) {
      Verbs.say("port", () -> {
        try (var one = busybox("httpd", "-f", "-p", "80").withExposedPorts(80).waitingFor(Wait.forListeningPort())) {
          one.start();
          return one.getMappedPort(80) > 0;
        }
      });
      Verbs.say("network", () -> {
        try (Network network = Network.newNetwork();
            var web = busybox("httpd", "-f", "-p", "80").withNetwork(network).withNetworkAliases("web");
            var asks = busybox("sleep", "100").withNetwork(network)) {
          web.start();
          asks.start();
          return asks.execInContainer("wget", "-q", "-O", "-", "http://web/").getStderr().contains("404");
        }
      });
    }
  }
}
