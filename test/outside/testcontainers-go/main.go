// testcontainers-go against DOCKER_HOST on an engine with a bridge: one line a step, "step: what came of it". Argument: prefix of names.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

func say(step string, run func(ctx context.Context) (any, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	told, err := run(ctx)
	text := fmt.Sprint(told)
	if err != nil {
		text = "FAILED " + err.Error()
	}
	fmt.Println(step + ": " + strings.Join(strings.Fields(text), " "))
}

func start(ctx context.Context, opts ...testcontainers.ContainerCustomizer) (testcontainers.Container, func(), error) {
	one, err := testcontainers.Run(ctx, "busybox:test", opts...)
	return one, func() {
		if one != nil {
			_ = one.Terminate(context.Background(), testcontainers.StopTimeout(time.Second))
		}
	}, err
}

func main() {
	prefix := os.Args[1]
	say("logs", func(ctx context.Context) (any, error) {
		one, end, err := start(ctx, testcontainers.WithCmd("sh", "-c", "echo ready; sleep 100"), testcontainers.WithWaitStrategy(wait.ForLog("ready")))
		defer end()
		if err != nil {
			return nil, err
		}
		logs, err := one.Logs(ctx)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(logs)
		return strings.Contains(string(text), "ready"), err
	})
	say("exec and copy", func(ctx context.Context) (any, error) {
		one, end, err := start(ctx, testcontainers.WithCmd("sleep", "100"), testcontainers.WithWaitStrategy(wait.ForExec([]string{"true"})))
		defer end()
		if err != nil {
			return nil, err
		}
		if err := one.CopyToContainer(ctx, []byte("there"), "/tmp/file", 0o644); err != nil {
			return nil, err
		}
		code, _, err := one.Exec(ctx, []string{"grep", "there", "/tmp/file"})
		if err != nil {
			return nil, err
		}
		file, err := one.CopyFileFromContainer(ctx, "/tmp/file")
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(file)
		return fmt.Sprint(code, string(text)), err
	})
	say("port", func(ctx context.Context) (any, error) {
		one, end, err := start(ctx, testcontainers.WithCmd("httpd", "-f", "-p", "80"), testcontainers.WithExposedPorts("80/tcp"),
			testcontainers.WithWaitStrategy(wait.ForListeningPort("80/tcp")))
		defer end()
		if err != nil {
			return nil, err
		}
		at, err := one.Endpoint(ctx, "http")
		if err != nil {
			return nil, err
		}
		answer, err := http.Get(at)
		if err != nil {
			return nil, err
		}
		return answer.StatusCode, answer.Body.Close()
	})
	say("network", func(ctx context.Context) (any, error) {
		net, err := network.New(ctx)
		if err != nil {
			return nil, err
		}
		defer net.Remove(context.Background())
		_, end, err := start(ctx, testcontainers.WithCmd("httpd", "-f", "-p", "80"), network.WithNetwork([]string{"web"}, net))
		defer end()
		if err != nil {
			return nil, err
		}
		asks, end2, err := start(ctx, testcontainers.WithCmd("sleep", "100"), network.WithNetwork(nil, net))
		defer end2()
		if err != nil {
			return nil, err
		}
		_, out, err := asks.Exec(ctx, []string{"wget", "-q", "-O", "-", "http://web/"})
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(out)
		return strings.Contains(string(text), "404"), err
	})
	say("build", func(ctx context.Context) (any, error) {
		folder, err := os.MkdirTemp("", prefix)
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		if err := os.WriteFile(folder+"/Dockerfile", []byte("FROM busybox:test\nCMD [\"sleep\",\"100\"]\n"), 0o644); err != nil {
			return nil, err
		}
		one, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
			ContainerRequest: testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{Context: folder, Repo: prefix, Tag: "built"}},
			Started:          true,
		})
		if err != nil {
			return nil, err
		}
		return one.IsRunning(), one.Terminate(context.Background(), testcontainers.StopTimeout(time.Second))
	})
}
