package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/shadow"
)

// newShadow returns the command that compares a broker with an old server.
func newShadow() *cobra.Command {
	var s shadowing
	cmd := &cobra.Command{
		Use:   "shadow --listen ADDRESS --to TARGET",
		Short: "Compare the broker of a configuration with an old server, beside its clients",
		Long: `shadow passes on what clients that connect to --listen and the server --to say to each
other, byte by byte: that server alone serves them. A broker in this process, made of
--config, gets the same upgrades and messages at one endpoint, and what it sends is
compared with what the old server sends, for each connection. Ids that the servers make
up and times do not count; a message has --window to find its equal. It ends at an
interrupt (Ctrl-C).

Differences are counted by kind and shown; with -o the first of them are written to a
file, with what was said before and without credentials. docs/shadow.md says what is
compared.

The broker listens at a socket of its own and has no admin server. A configuration with
which it would act on the outside world a second time (bridges, a cluster, webhooks,
services that HTTP servers answer, sessions in files) is refused without --allow-effects.

Exit code 1 says that there were differences, or that something was not compared.

` + targetHelp,
		Example: `  broker shadow --listen :9191 --to ws://127.0.0.1:9190/ --protocol wubsub --config config.yaml
  broker shadow --listen :3001 --to wsify://127.0.0.1:3000/ws --config config.yaml --endpoint web -o differences.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return err
			}
			return cmd.ValidateRequiredFlags() // here it is a mistake in the command line
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return s.run(ctx, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	s.front.add(cmd)
	flags.StringVar(&s.to, "to", "", "the old server, a TARGET")
	flags.StringVar(&s.endpoint, "endpoint", "", "the endpoint of the configuration, if several have the format")
	flags.StringVarP(&s.file, "output", "o", "", "a file for samples of the differences, which is replaced; - is standard output")
	flags.IntVar(&s.samples, "samples", 100, "write down so many differences, and only count later ones")
	flags.DurationVar(&s.window, "window", 2*time.Second, "how long a message may wait for its equal")
	flags.IntVar(&s.maxMessage, "max-message", 1<<20, "compare messages of up to so many bytes")
	flags.IntVar(&s.maxConnections, "max-connections", 1000, "compare so many connections at once, and only pass on others")
	flags.BoolVar(&s.allowEffects, "allow-effects", false, "let the broker act on the outside world as the configuration says")
	s.target.addServer(cmd)
	flags.Var(&override{settings: &s.target.settings}, "set", "override one value of the configuration, such as endpoints.web.path=/ws; may be repeated")
	for _, name := range []string{"listen", "to"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.MarkFlagFilename("output")
	return cmd
}

// shadowing are the values of the flags.
type shadowing struct {
	target                              target
	front                               front
	to, endpoint, file                  string
	window                              time.Duration
	samples, maxMessage, maxConnections int
	allowEffects                        bool
}

func (s *shadowing) run(ctx context.Context, in io.Reader, out, log io.Writer) (err error) {
	if s.samples < 1 || s.maxMessage < 1 || s.maxConnections < 1 || s.window < 10*time.Millisecond {
		return errors.New("--samples, --max-message and --max-connections must be at least 1, and --window 10ms")
	}
	cfg, err := s.target.settings.load(in)
	if err != nil {
		return err
	}
	o, err := s.options(cfg)
	if err != nil {
		return err
	}
	l, tls, err := s.front.listen(ctx)
	if err != nil {
		return err
	}
	o.TLS = tls
	defer func() { _ = l.Close() }()
	switch s.file {
	case "":
	case "-":
		o.Out = out
	default:
		// What clients say is for nobody else to read.
		file, err := os.OpenFile(s.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("writing the samples: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		o.Out = file
	}
	live := newLive(log)
	o.Seen, o.Note = func(s shadow.Summary) { live.seen(shadowSummary(s)) }, live.note
	return s.beside(cfg, log, func(reach func(context.Context) (net.Conn, error)) error {
		o.New = reach
		live.note(fmt.Sprintf("passing on what clients say at %s to %s, and comparing it with the endpoint %s of %s; an interrupt ends it",
			l.Addr(), o.Server, o.Endpoint, s.target.settings.file.path))
		seen, err := shadow.New(o).Serve(ctx, l)
		live.end(shadowSummary(seen))
		return err
	})
}

// options returns what is compared. It leaves of cfg what the shadow is made of.
func (s *shadowing) options(cfg *config.Config) (o shadow.Options, err error) {
	address, protocol, format, err := s.target.address(s.to)
	if err != nil {
		return o, fmt.Errorf("--to: %w", err)
	}
	conf, err := s.target.tls()
	if err != nil {
		return o, err
	}
	name := s.endpoint
	if name == "" && !strings.Contains(s.to, ":") {
		name = s.to
	}
	ep, err := endpointOf(cfg, name, protocol)
	if err != nil {
		return o, fmt.Errorf("%s: %w", s.target.settings.file.path, err)
	}
	if all := effects(cfg, ep); len(all) > 0 && !s.allowEffects {
		return o, fmt.Errorf("%s: a second broker would act on the outside world again, by %s; take that out of a copy of the file, or add --allow-effects",
			s.target.settings.file.path, strings.Join(all, ", "))
	}
	if err := private(cfg, ep); err != nil {
		return o, fmt.Errorf("%s: %w", s.target.settings.file.path, err)
	}
	o = shadow.Options{
		Server: client.SafeURL(address), Endpoint: ep.Name, Path: client.Path(address),
		Window: s.window, Samples: s.samples, MaxMessage: s.maxMessage, MaxConnections: s.maxConnections,
		Old: func(ctx context.Context) (net.Conn, error) { return client.Reach(ctx, address, conf) },
	}
	o.Dissector, _ = format.(core.Dissector)
	return o, nil
}

// endpointOf returns the endpoint with a name, or the only one of a format.
func endpointOf(cfg *config.Config, name, protocol string) (*config.Endpoint, error) {
	var found []*config.Endpoint
	var names []string
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		switch {
		case name == ep.Name && ep.Protocol != protocol:
			return nil, fmt.Errorf("the endpoint %s speaks %s, and the old server %s", name, ep.Protocol, protocol)
		case name == ep.Name, name == "" && ep.Protocol == protocol:
			found = append(found, ep)
			names = append(names, ep.Name)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("several endpoints speak %s: choose one with --endpoint: %s", protocol, strings.Join(names, ", "))
	case name != "":
		return nil, fmt.Errorf("there is no endpoint %q", name)
	}
	return nil, fmt.Errorf("no endpoint speaks %s", protocol)
}

// effects returns the keys with which a broker with the endpoint ep alone acts on the outside world.
func effects(cfg *config.Config, ep *config.Endpoint) (keys []string) {
	if len(cfg.Bridges) > 0 {
		keys = append(keys, "bridges")
	}
	if cfg.Cluster.On() {
		keys = append(keys, "cluster")
	}
	for i, service := range cfg.Services {
		if service.URL != "" {
			keys = append(keys, fmt.Sprintf("services.%d.url", i))
		}
	}
	at := "endpoints." + ep.Name
	if ep.Authorizer != nil {
		keys = append(keys, at+".authorizer")
	}
	for i, method := range ep.Auth {
		if method.URL != "" {
			keys = append(keys, fmt.Sprintf("%s.auth.%d.url", at, i))
		}
	}
	needs := ep.Needs()
	if needs.AuthorizerURL != "" {
		keys = append(keys, at+".options.authorizer_url")
	}
	if needs.HasSessions() && needs.Sessions != core.SessionsMemory {
		keys = append(keys, at+".options.sessions.store")
	}
	return keys
}

// private leaves of a configuration what a broker beside another one needs: the endpoint ep, at no address
// yet, and what it uses.
func private(cfg *config.Config, ep *config.Endpoint) error {
	for _, method := range ep.Auth {
		if method.Type == "certificate" {
			return fmt.Errorf("the endpoint %s wants certificates of clients, which this broker cannot see", ep.Name)
		}
	}
	alone := *ep
	alone.TLS, alone.ProxyProtocol = config.TLS{}, "off"
	cfg.Endpoints = []config.Endpoint{alone}
	cfg.Admin, cfg.API = config.Admin{}, config.Admin{}
	// Who connects to its socket says where the client is.
	cfg.Network.TrustedProxies = append(cfg.Network.TrustedProxies, config.CIDR{})
	// When it ends nobody is left.
	cfg.Drain = config.Drain{Timeout: time.Second}
	return nil
}

// beside runs the broker of a configuration at a socket of its own while f runs. reach connects to it.
func (s *shadowing) beside(cfg *config.Config, log io.Writer, f func(reach func(context.Context) (net.Conn, error)) error) (err error) {
	dir, err := os.MkdirTemp("", "broker-shadow-")
	if err != nil {
		return fmt.Errorf("making a folder for the broker's socket: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	socket := filepath.Join(dir, "s")
	cfg.Endpoints[0].Listen = "unix:" + socket
	broker, err := polywire.New(cfg, newLogger("text", slog.LevelWarn, log))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- broker.Run(ctx) }()
	<-broker.Ready()
	if broker.Err() != nil {
		return <-ended
	}
	err = f(func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", socket) })
	cancel()
	return errors.Join(err, <-ended)
}

func shadowSummary(s shadow.Summary) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d connections, %d requests; %d messages of clients, %d of the old server, %d of the broker; %d equal, %s",
		s.Connections, s.Requests, s.Sent, s.Old, s.New, s.Equal, cmp.Or(counted(s.Differences[:], func(i int) string { return shadow.Kind(i).String() }), "no differences"))
	if left := counted(s.NotCompared[:], func(i int) string { return shadow.Reason(i).String() }); left != "" {
		fmt.Fprintf(&text, "; NOT COMPARED: %s", left)
	}
	if s.Unsettled > 0 {
		fmt.Fprintf(&text, "; %d unsettled", s.Unsettled)
	}
	if s.Unreached > 0 {
		fmt.Fprintf(&text, "; %d answered 502", s.Unreached)
	}
	return text.String()
}

// counted lists what was counted at least once.
func counted(counts []int, name func(int) string) string {
	var parts []string
	for i, n := range counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name(i)))
		}
	}
	return strings.Join(parts, ", ")
}
