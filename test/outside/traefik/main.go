// Traefik's docker provider alone: it prints the routers it makes of what it is told, each time they change, for as long as RUN says.
// ENDPOINT, USERNAME and PASSWORD, and CERTS (a folder with ca.pem, and cert.pem and key.pem where there is no USERNAME) say how to ask.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/log"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/provider/docker"
	"github.com/traefik/traefik/v3/pkg/safe"
	"github.com/traefik/traefik/v3/pkg/types"
)

func main() {
	log.Logger = zerolog.New(os.Stderr).Level(zerolog.WarnLevel)
	zerolog.DefaultContextLogger = &log.Logger
	p := &docker.Provider{}
	p.SetDefaults()
	p.Endpoint = os.Getenv("ENDPOINT")
	p.Username, p.Password = os.Getenv("USERNAME"), os.Getenv("PASSWORD")
	if dir := os.Getenv("CERTS"); dir != "" {
		p.TLS = &types.ClientTLS{CA: dir + "/ca.pem"}
		if p.Username == "" {
			p.TLS.Cert, p.TLS.Key = dir+"/cert.pem", dir+"/key.pem"
		}
	}
	if err := p.Init(); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	ch := make(chan dynamic.Message, 10)
	lasts, err := time.ParseDuration(os.Getenv("RUN"))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	pool := safe.NewPool(ctx)
	if err := p.Provide(ch, pool); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	for {
		select {
		case m := <-ch:
			names := []string{}
			if m.Configuration.HTTP != nil {
				for name := range m.Configuration.HTTP.Routers {
					names = append(names, name)
				}
			}
			sort.Strings(names)
			b, _ := json.Marshal(names)
			fmt.Println(string(b))
		case <-ctx.Done():
			return
		}
	}
}
