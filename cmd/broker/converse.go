package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/conversations/stage"
)

// newConverse returns the command that plays conversations.
func newConverse() *cobra.Command {
	var c converse
	cmd := &cobra.Command{
		Use:   "converse FILE...",
		Short: "Play scripts of what clients say and hear",
		Long: `converse plays each script and says where a conversation goes otherwise. The
language of the scripts is described in conversations/README.md.

Without --url each script gets a broker of its own, in this process, with the
configuration that the script says. With --url it is played against the servers
at these addresses, one for each endpoint that the script names ("admin" is the
metrics page), and its configuration is not used. With several nodes of a cluster the
names are NODE/ENDPOINT.

The credentials that a recording of broker record lacks are given with --set.`,
		Example: `  broker converse conversations/pairs/ownership.txt
  broker converse greeting.txt --url wubsub=ws://127.0.0.1:9190 --url wsify=ws://127.0.0.1:3000/ws
  broker converse talk.txt --url a/web=ws://10.0.0.1:3000/ws --url b/web=ws://10.0.0.2:3000/ws
  broker converse session.txt --url wubsub=ws://127.0.0.1:9190 --set secret=@secret.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			c.log = cmd.ErrOrStderr()
			return c.playAll(ctx, files, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringToStringVar(&c.urls, "url", nil, "the address of an endpoint, NAME=ws://HOST:PORT/PATH or wss://; may be repeated")
	flags.StringVar(&c.ca, "ca", "", "a PEM file with the authorities to trust for wss://; default: those of the system")
	flags.StringArrayVar(&c.set, "set", nil, "the value of a variable, such as a token that a recording lacks: NAME=VALUE or NAME=@FILE; may be repeated")
	flags.StringToStringVar(&c.webhooks, "webhook", nil, "the listen address of a script's webhook, NAME=HOST:PORT; default: a free port")
	flags.StringVar(&c.logLevel, "log-level", "error", "debug, info, warn or error; for the brokers of the scripts")
	return cmd
}

// converse are the values of the flags.
type converse struct {
	urls, webhooks map[string]string
	set            []string
	ca             string
	logLevel       string
	log            io.Writer
}

// playAll plays the files one by one and reports all that fail.
func (c *converse) playAll(ctx context.Context, files []string, out io.Writer) error {
	servers, err := c.servers()
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		if err := c.play(ctx, file, servers); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(out, "ok", file)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%d of %d conversations went otherwise:\n%w", len(errs), len(files), errors.Join(errs...))
	}
	return nil
}

// servers returns the addresses of --url; nil if there are none.
func (c *converse) servers() (map[string]*url.URL, error) {
	if len(c.urls) == 0 {
		return nil, nil
	}
	servers := make(map[string]*url.URL, len(c.urls))
	for name, address := range c.urls {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("reading --url: %w", err)
		}
		if u.Host == "" || !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) {
			return nil, fmt.Errorf("--url %s=%s: write ws://HOST:PORT/PATH or wss://, or http:// for admin", name, address)
		}
		servers[name] = u
	}
	return servers, nil
}

// play plays one script, against its own broker if servers is nil.
func (c *converse) play(ctx context.Context, file string, servers map[string]*url.URL) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the script: %w", err)
	}
	script, err := conversations.Parse(file, text)
	if err != nil {
		return err
	}
	if servers != nil {
		return c.playScript(ctx, script, servers)
	}
	return conversations.Patiently(script, func(s *conversations.Script) error { return c.playScript(ctx, s, nil) })
}

func (c *converse) playScript(ctx context.Context, script *conversations.Script, servers map[string]*url.URL) (err error) {
	player, err := conversations.NewPlayer(script, c.webhooks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, player.Close()) }()
	if err := c.setAll(player); err != nil {
		return err
	}
	if c.ca != "" {
		pool, err := authorities(c.ca)
		if err != nil {
			return err
		}
		player.Trust(pool)
	}
	if servers != nil {
		player.Nodes = nodesOf(servers)
		return player.Play(ctx, servers)
	}
	cfg, err := c.config(player)
	if err != nil {
		return fmt.Errorf("%s: the script's configuration: %w", script.File, err)
	}
	return stage.Play(ctx, player, cfg, newLogger(cfg.Log.Format, cfg.Log.Level, c.log))
}

// setAll gives the player the values of --set.
func (c *converse) setAll(player *conversations.Player) error {
	for _, s := range c.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("--set: write NAME=VALUE or NAME=@FILE")
		}
		if file, fromFile := strings.CutPrefix(value, "@"); fromFile {
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("reading --set %s: %w", name, err)
			}
			value = strings.TrimRight(string(text), "\r\n")
		}
		player.Set(name, value)
	}
	return nil
}

// nodesOf returns the nodes that the names of servers say, and takes the first one out of its names,
// as players have it.
func nodesOf(servers map[string]*url.URL) (nodes []string) {
	for name := range servers {
		if node, _, ok := strings.Cut(name, "/"); ok && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	if len(nodes) == 0 {
		return nil
	}
	for name, u := range maps.Clone(servers) {
		if endpoint, ok := strings.CutPrefix(name, nodes[0]+"/"); ok {
			delete(servers, name)
			servers[endpoint] = u
		}
	}
	return nodes
}

// authorities reads a PEM file of authorities to trust.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading --ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading --ca: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// config loads the configuration of a script. Its metrics get a free port.
func (c *converse) config(player *conversations.Player) (*config.Config, error) {
	var names []string
	for _, p := range polywire.Protocols() {
		names = append(names, p.Name)
	}
	yaml, err := player.Config(names)
	if err != nil {
		return nil, err
	}
	return polywire.Load(config.Source{Text: yaml, Set: []config.Override{
		{From: "converse", Key: "admin.listen", Value: "127.0.0.1:0"},
		{From: "--log-level", Key: "log.level", Value: c.logLevel},
	}}, slog.New(slog.NewTextHandler(c.log, nil)))
}
