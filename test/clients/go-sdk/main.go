// The Go SDK, verb by verb: prints one JSON line for each, so that two runs can be compared. Arguments: PREFIX.
// With DENIED set it makes the one call that is to be denied, and prints what it was told.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

const imageName = "busybox:test"

var (
	ctx    = context.Background()
	docker *client.Client
	prefix string
)

func tell(name string, result any, err error) {
	if err != nil {
		result = map[string]string{"error": err.Error()}
	}
	line, _ := json.Marshal(map[string]any{name: result})
	fmt.Println(strings.ReplaceAll(string(line), prefix, "PREFIX"))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func connect() *client.Client {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if authorization := os.Getenv("CLIENT_AUTHORIZATION"); authorization != "" {
		options = append(options, client.WithHTTPHeaders(map[string]string{"Authorization": authorization}))
	}
	// FromEnv insists on a certificate and key beside ca.pem; with a header alone there are none.
	folder := os.Getenv("DOCKER_CERT_PATH")
	if _, err := os.Stat(path.Join(folder, "cert.pem")); folder != "" && err != nil {
		options[0] = client.WithTLSClientConfig(path.Join(folder, "ca.pem"), "", "")
		options = append(options, client.WithHost(os.Getenv("DOCKER_HOST")))
	}
	return must(client.NewClientWithOpts(options...))
}

func create(name string, config container.Config, host container.HostConfig) (string, error) {
	config.Image = imageName
	host.NetworkMode = "none"
	made, err := docker.ContainerCreate(ctx, &config, &host, nil, nil, prefix+name)
	return made.ID, err
}

// All that comes of a hijacked connection, while the input is sent and its side closed after it.
func converse(stream types.HijackedResponse, input string) (string, string) {
	defer stream.Close()
	go func() {
		if input != "" {
			must(stream.Conn.Write([]byte(input)))
		}
		if err := stream.CloseWrite(); err != nil {
			panic(err)
		}
	}()
	return split(stream.Reader)
}

func split(from io.Reader) (string, string) {
	var out, errors bytes.Buffer
	must(stdcopy.StdCopy(&out, &errors, from))
	return out.String(), errors.String()
}

// A wait that is sent before the start, an attachment whose input ends first, and the exit code.
func runOne() (any, error) {
	id, err := create("-run", container.Config{
		Cmd: []string{"sh", "-c", "cat; sleep 1; echo after; echo err >&2; exit 5"}, OpenStdin: true, StdinOnce: true, AttachStdin: true,
	}, container.HostConfig{})
	if err != nil {
		return nil, err
	}
	defer docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	stream, err := docker.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	waited, failed := docker.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return nil, err
	}
	out, errors := converse(stream, "in\n")
	select {
	case ended := <-waited:
		return []any{out, errors, ended.StatusCode}, nil
	case err := <-failed:
		return nil, err
	}
}

func execute(id, input string, command ...string) (any, error) {
	made, err := docker.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: command, AttachStdin: input != "", AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	stream, err := docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	out, errors := converse(stream, input)
	if len(out) > 1000 {
		out = fmt.Sprint(len(out), " bytes, as sent: ", out == input)
	}
	found, err := docker.ContainerExecInspect(ctx, made.ID)
	return []any{out, errors, found.ExitCode}, err
}

func archive(name, text string) *bytes.Buffer {
	var data bytes.Buffer
	writer := tar.NewWriter(&data)
	if err := writer.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
		panic(err)
	}
	must(writer.Write([]byte(text)))
	writer.Close()
	return &data
}

func copyBoth(id string) (any, error) {
	text := strings.Repeat("copied ", 200_000)
	if err := docker.CopyToContainer(ctx, id, "/tmp", archive("in.txt", text), container.CopyToContainerOptions{}); err != nil {
		return nil, err
	}
	content, stat, err := docker.CopyFromContainer(ctx, id, "/tmp/in.txt")
	if err != nil {
		return nil, err
	}
	defer content.Close()
	reader := tar.NewReader(content)
	must(reader.Next())
	back := must(io.ReadAll(reader))
	return []any{stat.Name, stat.Size, string(back) == text}, nil
}

func followLogs(id string) (any, error) {
	ending, cancel := context.WithCancel(ctx)
	defer cancel()
	content, err := docker.ContainerLogs(ending, id, container.LogsOptions{ShowStdout: true, Follow: true})
	if err != nil {
		return nil, err
	}
	defer content.Close()
	head := make([]byte, 8)
	must(io.ReadFull(content, head))
	return bufio.NewReader(content).ReadString('\n')
}

func buildImage() (any, error) {
	answer, err := docker.ImageBuild(ctx, archive("Dockerfile", "FROM "+imageName+"\nRUN echo "+prefix+" > /built\n"), build.ImageBuildOptions{
		Version: build.BuilderV1, Tags: []string{prefix + "-built:1"}, NetworkMode: "none", Remove: true,
	})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	said := must(io.ReadAll(answer.Body))
	return strings.Contains(string(said), "Successfully built"), nil
}

func list() (any, error) {
	found, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("name", prefix+"-box"))})
	names := []string{}
	for _, one := range found {
		names = append(names, one.Names...)
	}
	return names, err
}

func pastEvents(started time.Time) (any, error) {
	messages, failed := docker.Events(ctx, events.ListOptions{
		Since: fmt.Sprint(started.Unix()), Until: fmt.Sprint(time.Now().Unix() + 1),
		Filters: filters.NewArgs(filters.Arg("container", prefix+"-box"), filters.Arg("event", "create"), filters.Arg("event", "start")),
	})
	actions := []string{}
	for {
		select {
		case message := <-messages:
			actions = append(actions, string(message.Action))
		case err := <-failed:
			if err == io.EOF {
				err = nil
			}
			return actions, err
		}
	}
}

func main() {
	prefix = os.Args[1]
	docker = connect()
	if os.Getenv("DENIED") != "" {
		_, err := create("-denied", container.Config{}, container.HostConfig{Privileged: true})
		tell("denied", nil, err)
		return
	}
	started := time.Now()
	ping, err := docker.Ping(ctx)
	tell("ping", []any{ping.APIVersion, ping.OSType, ping.BuilderVersion}, err)
	docker.NegotiateAPIVersionPing(ping)
	tell("negotiated", docker.ClientVersion(), nil)
	version, err := docker.ServerVersion(ctx)
	tell("version", version.Version, err)
	result, err := runOne()
	tell("wait, attach and start", result, err)
	id, err := create("-box", container.Config{Cmd: []string{"sh", "-c", "echo ready; exec sleep 300"}}, container.HostConfig{})
	defer docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	tell("create", len(id), err)
	tell("start", nil, docker.ContainerStart(ctx, id, container.StartOptions{}))
	tell("start twice", nil, docker.ContainerStart(ctx, id, container.StartOptions{}))
	result, err = list()
	tell("list", result, err)
	result, err = followLogs(id)
	tell("logs", result, err)
	result, err = execute(id, "", "sh", "-c", "echo out; echo err >&2; exit 3")
	tell("exec", result, err)
	result, err = execute(id, strings.Repeat("through standard input\n", 100_000), "cat")
	tell("exec with input", result, err)
	result, err = copyBoth(id)
	tell("copy", result, err)
	_, err = docker.ContainerInspect(ctx, prefix+"-absent")
	tell("inspect absent", nil, err)
	result, err = buildImage()
	tell("build", result, err)
	_, err = docker.ImageRemove(ctx, prefix+"-built:1", image.RemoveOptions{Force: true})
	tell("remove image", nil, err)
	result, err = pastEvents(started)
	tell("events", result, err)
	seconds := 0
	tell("stop", nil, docker.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}))
	tell("remove", nil, docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}))
}
