// The verbs of docker-java, over one of its transports, against DOCKER_HOST: one line a verb, "verb: what came of it".
// Arguments: transport (httpclient5 or zerodep), prefix of names, registry's address or nothing.
import com.github.dockerjava.api.DockerClient;
import com.github.dockerjava.api.async.ResultCallback;
import com.github.dockerjava.api.command.BuildImageResultCallback;
import com.github.dockerjava.api.command.PullImageResultCallback;
import com.github.dockerjava.api.command.WaitContainerResultCallback;
import com.github.dockerjava.api.model.*;
import com.github.dockerjava.core.DefaultDockerClientConfig;
import com.github.dockerjava.core.DockerClientConfig;
import com.github.dockerjava.core.DockerClientImpl;
import com.github.dockerjava.httpclient5.ApacheDockerHttpClient;
import com.github.dockerjava.transport.DockerHttpClient;
import com.github.dockerjava.zerodep.ZerodepDockerHttpClient;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.TimeUnit;

public class Verbs {
  interface Verb {
    Object run() throws Exception;
  }

  static void say(String verb, Verb run) {
    String told;
    try {
      told = String.valueOf(run.run());
    } catch (Throwable error) {
      Throwable at = error;
      while (at.getCause() != null) at = at.getCause();
      told = "FAILED " + at.getClass().getSimpleName() + " " + String.valueOf(at.getMessage()).strip();
    }
    System.out.println(verb + ": " + told.replaceAll("\\s+", " "));
  }

  static class Frames extends ResultCallback.Adapter<Frame> {
    final StringBuilder text = new StringBuilder();

    @Override
    public void onNext(Frame frame) {
      text.append(new String(frame.getPayload(), StandardCharsets.UTF_8));
    }

    String end() throws Exception {
      return awaitCompletion(6, TimeUnit.SECONDS) ? text.toString().strip() : "TIMED OUT " + text;
    }
  }

  public static void main(String[] args) throws Exception {
    String prefix = args[1];
    String registry = args.length > 2 ? args[2] : null;
    DockerClientConfig config = DefaultDockerClientConfig.createDefaultConfigBuilder().build();
    DockerHttpClient http =
        args[0].equals("zerodep")
            ? new ZerodepDockerHttpClient.Builder().dockerHost(config.getDockerHost()).sslConfig(config.getSSLConfig()).build()
            : new ApacheDockerHttpClient.Builder().dockerHost(config.getDockerHost()).sslConfig(config.getSSLConfig()).build();
    DockerClient docker = DockerClientImpl.getInstance(config, http);
    String image = "busybox:test";
    String[] id = new String[1];
    HostConfig host = HostConfig.newHostConfig().withNetworkMode("none").withMemory(64L << 20);

    say("ping", () -> docker.pingCmd().exec());
    say("version", () -> docker.versionCmd().exec().getVersion() != null);
    say("info", () -> docker.infoCmd().exec().getDriver() != null);
    say("images", () -> docker.listImagesCmd().exec().size() > 0);
    say("inspect image", () -> docker.inspectImageCmd(image).exec().getOs());
    say("inspect image with a slash", () -> docker.inspectImageCmd("nowhere/of/all:1").exec());
    say("create", () -> {
      id[0] = docker.createContainerCmd(image).withName(prefix + "-a").withHostConfig(host).withTty(false)
          .withCmd("sh", "-c", "echo up; sleep 300").withLabels(Map.of("of", prefix)).withEnv("A=b").exec().getId();
      return id[0].length();
    });
    say("start", () -> docker.startContainerCmd(id[0]).exec());
    say("list", () -> docker.listContainersCmd().withLabelFilter(Map.of("of", prefix)).exec().size());
    say("inspect", () -> docker.inspectContainerCmd(id[0]).exec().getState().getStatus());
    say("exec", () -> {
      String exec = docker.execCreateCmd(id[0]).withCmd("echo", "hello").withAttachStdout(true).withAttachStderr(true).exec().getId();
      String told = docker.execStartCmd(exec).exec(new Frames()).end();
      return told + " " + docker.inspectExecCmd(exec).exec().getExitCodeLong();
    });
    say("exec with stdin", () -> {
      String exec = docker.execCreateCmd(id[0]).withCmd("cat").withAttachStdin(true).withAttachStdout(true).exec().getId();
      return docker.execStartCmd(exec).withStdIn(new ByteArrayInputStream("typed\n".getBytes())).exec(new Frames()).end();
    });
    say("exec with a tty", () -> {
      String exec = docker.execCreateCmd(id[0]).withCmd("tty").withTty(true).withAttachStdout(true).exec().getId();
      return docker.execStartCmd(exec).withTty(true).exec(new Frames()).end();
    });
    say("exec detached", () -> {
      String exec = docker.execCreateCmd(id[0]).withCmd("true").exec().getId();
      return docker.execStartCmd(exec).withDetach(true).exec(new Frames()).end();
    });
    say("logs", () -> docker.logContainerCmd(id[0]).withStdOut(true).withTailAll().exec(new Frames()).end());
    say("top", () -> docker.topContainerCmd(id[0]).exec().getProcesses().length > 0);
    say("stats", () -> {
      var told = new boolean[1];
      docker.statsCmd(id[0]).withNoStream(true).exec(new ResultCallback.Adapter<Statistics>() {
        @Override
        public void onNext(Statistics one) {
          told[0] = true;
        }
      }).awaitCompletion(20, TimeUnit.SECONDS);
      return told[0];
    });
    say("copy in", () -> {
      Path file = Files.writeString(Files.createTempFile("dg", ".txt"), "copied");
      docker.copyArchiveToContainerCmd(id[0]).withHostResource(file.toString()).withRemotePath("/tmp").exec();
      String exec = docker.execCreateCmd(id[0]).withCmd("cat", "/tmp/" + file.getFileName()).withAttachStdout(true).exec().getId();
      return docker.execStartCmd(exec).exec(new Frames()).end();
    });
    say("copy out", () -> {
      try (InputStream tar = docker.copyArchiveFromContainerCmd(id[0], "/etc/passwd").exec()) {
        return tar.readAllBytes().length > 512;
      }
    });
    say("diff", () -> docker.containerDiffCmd(id[0]).exec().size() > 0);
    say("rename", () -> docker.renameContainerCmd(id[0]).withName(prefix + "-b").exec());
    say("update", () -> docker.updateContainerCmd(id[0]).withMemory(96L << 20).withMemorySwap(192L << 20).exec().getWarnings());
    say("commit", () -> docker.commitCmd(id[0]).withRepository(prefix + "-committed").withTag("1").exec().length());
    say("tag", () -> docker.tagImageCmd(prefix + "-committed:1", prefix + "-committed", "2").exec());
    say("remove image", () -> docker.removeImageCmd(prefix + "-committed:2").exec());
    say("kill", () -> docker.killContainerCmd(id[0]).withSignal("USR1").exec());
    say("stop", () -> docker.stopContainerCmd(id[0]).withTimeout(1).exec());
    say("restart", () -> docker.restartContainerCmd(id[0]).withTimeout(1).exec());
    say("pause", () -> docker.pauseContainerCmd(id[0]).exec());
    say("unpause", () -> docker.unpauseContainerCmd(id[0]).exec());
    say("remove", () -> docker.removeContainerCmd(id[0]).withForce(true).withRemoveVolumes(true).exec());
    say("inspect what is gone", () -> {
      docker.inspectContainerCmd(id[0]).exec();
      return "there";
    });
    say("attach", () -> {
      String one = docker.createContainerCmd(image).withName(prefix + "-c").withHostConfig(host).withAttachStdout(true)
          .withStdinOpen(true).withStdInOnce(true).withAttachStdin(true).withCmd("cat").exec().getId();
      Frames frames = new Frames();
      docker.attachContainerCmd(one).withStdOut(true).withFollowStream(true)
          .withStdIn(new ByteArrayInputStream("by attach\n".getBytes())).exec(frames);
      docker.startContainerCmd(one).exec();
      return frames.end();
    });
    say("wait", () -> docker.waitContainerCmd(prefix + "-c").exec(new WaitContainerResultCallback()).awaitStatusCode(20, TimeUnit.SECONDS));
    say("remove the other", () -> docker.removeContainerCmd(prefix + "-c").withForce(true).exec());
    say("volume", () -> docker.createVolumeCmd().withName(prefix + "-v").exec().getDriver());
    say("inspect volume", () -> docker.inspectVolumeCmd(prefix + "-v").exec().getName().length());
    say("volumes", () -> docker.listVolumesCmd().withFilter("name", List.of(prefix)).exec().getVolumes().size());
    say("remove volume", () -> docker.removeVolumeCmd(prefix + "-v").exec());
    say("network", () -> docker.createNetworkCmd().withName(prefix + "-n").withDriver("bridge").withInternal(true).exec().getId().length());
    say("inspect network", () -> docker.inspectNetworkCmd().withNetworkId(prefix + "-n").exec().getDriver());
    say("networks", () -> docker.listNetworksCmd().withNameFilter(prefix + "-n").exec().size());
    say("remove network", () -> docker.removeNetworkCmd(prefix + "-n").exec());
    say("build", () -> {
      Path folder = Files.createTempDirectory("dg");
      Files.writeString(folder.resolve("Dockerfile"), "FROM busybox:test\nLABEL of=" + prefix + "\n");
      return docker.buildImageCmd(folder.toFile()).withTags(Set.of(prefix + "-built:1")).exec(new BuildImageResultCallback()).awaitImageId().length();
    });
    say("save", () -> {
      try (InputStream tar = docker.saveImageCmd(prefix + "-built:1").exec()) {
        return tar.readAllBytes().length > 512;
      }
    });
    say("events", () -> {
      var seen = new ArrayList<String>();
      long now = System.currentTimeMillis() / 1000;
      docker.eventsCmd().withSince(String.valueOf(now - 60)).withUntil(String.valueOf(now)).withContainerFilter(prefix + "-c")
          .withEventFilter("start").exec(new ResultCallback.Adapter<Event>() {
            @Override
            public void onNext(Event one) {
              seen.add(one.getStatus());
            }
          }).awaitCompletion(20, TimeUnit.SECONDS);
      return seen;
    });
    if (registry != null) {
      AuthConfig auth = new AuthConfig().withUsername("jane").withPassword("pw").withRegistryAddress(registry);
      String name = registry + "/deep/" + prefix;
      say("auth", () -> docker.authCmd().withAuthConfig(auth).exec().getStatus());
      say("tag for the registry", () -> docker.tagImageCmd(prefix + "-built:1", name, "1").exec());
      say("push", () -> {
        docker.pushImageCmd(name + ":1").withAuthConfig(auth).exec(new ResultCallback.Adapter<>()).awaitCompletion(30, TimeUnit.SECONDS);
        return "pushed";
      });
      say("inspect it with a slash", () -> docker.inspectImageCmd(name + ":1").exec().getRepoTags().size() > 0);
      say("remove it", () -> docker.removeImageCmd(name + ":1").exec());
      say("pull", () -> docker.pullImageCmd(name).withTag("1").withAuthConfig(auth).exec(new PullImageResultCallback()).awaitCompletion(30, TimeUnit.SECONDS));
      say("remove it again", () -> docker.removeImageCmd(name + ":1").withForce(true).exec());
    }
    say("remove what was built", () -> docker.removeImageCmd(prefix + "-built:1").withForce(true).exec());
    say("remove what was committed", () -> docker.removeImageCmd(prefix + "-committed:1").withForce(true).exec());
    say("prune", () -> docker.pruneCmd(PruneType.CONTAINERS).withLabelFilter("of=" + prefix).exec().getSpaceReclaimed());
    docker.close();
  }
}
