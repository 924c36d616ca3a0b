package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// target is a server that a command speaks to as a client: the values of the flags that say how.
type target struct {
	settings     settings
	protocol     string
	headers      []string
	token        string
	subprotocols []string
	ca, cert     string
	key          string
	serverName   string
	insecure     bool
	byTopic      bool
	timeout      time.Duration

	stop func() // ends the plugin that speaks the format; nil if none runs
}

// targetHelp tells what TARGET is; it is part of the help of each command that has one.
const targetHelp = `TARGET is the URL of a server, ours or an original, whose scheme names the format:
wubsub://HOST:PORT/PATH, or wsify, stocking, vws, webwire; with TLS wsify+tls://. Port
and path may be left out where they are the original's. ws:// and wss:// need
--protocol. A name without a colon is that of an endpoint of the broker's configuration,
whose plugins name further formats, with the options of their endpoint.`

// exitTimeout is the exit code of a command that took too long.
const exitTimeout = 3

// timedOut is the error of a command that took too long.
type timedOut struct{ error }

// add adds the flags. timeout is the usual one.
func (t *target) add(cmd *cobra.Command, timeout time.Duration, timeoutHelp string) {
	flags := cmd.Flags()
	t.addServer(cmd)
	flags.StringArrayVarP(&t.headers, "header", "H", nil, `a header of the upgrade, "NAME: VALUE"; may be repeated`)
	flags.StringVar(&t.token, "token", "", "a token for the header Authorization: Bearer")
	flags.StringSliceVar(&t.subprotocols, "subprotocol", nil, "a subprotocol to offer; may be repeated")
	flags.DurationVar(&t.timeout, "timeout", timeout, timeoutHelp)
	cmd.ValidArgsFunction = t.complete
}

// addServer adds the flags that say which server, and how to reach it.
func (t *target) addServer(cmd *cobra.Command) {
	flags := cmd.Flags()
	t.settings.file.path = cmp.Or(os.Getenv("POLYWIRE_CONFIG"), usualFile)
	flags.VarP(&t.settings.file, "config", "c", "the configuration in which an endpoint's name is looked up")
	flags.StringVar(&t.protocol, "protocol", "", "the format, if the URL does not name it")
	flags.StringVar(&t.ca, "ca", "", "a PEM file with the authorities to trust; default: those of the system")
	flags.StringVar(&t.cert, "cert", "", "a PEM file with the certificate to show, with --key")
	flags.StringVar(&t.key, "key", "", "a PEM file with the key of --cert")
	flags.StringVar(&t.serverName, "server-name", "", "the name that the server's certificate must have; default: the host")
	flags.BoolVar(&t.insecure, "insecure", false, "trust any certificate")
	_ = cmd.RegisterFlagCompletionFunc("protocol", cobra.FixedCompletions(protocolNames(), cobra.ShellCompDirectiveNoFileComp))
}

// addByTopic adds the flag of commands that call or answer.
func (t *target) addByTopic(flags *pflag.FlagSet) {
	flags.BoolVar(&t.byTopic, "by-topic", false, "where the format has no words for calls, use the topics $call, $serve and so on of a polywire broker")
}

// complete offers the schemes and the configured endpoints as the first argument.
func (t *target) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	for _, name := range protocolNames() {
		offers = append(offers, name+"://")
	}
	if cfg, err := t.load(io.Discard); err == nil {
		offers = append(offers, pluginSchemes(cfg)...)
		for i := range cfg.Endpoints {
			offers = append(offers, cfg.Endpoints[i].Name)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func protocolNames() []string {
	var names []string
	for _, p := range polywire.Protocols() {
		if format, err := p.Default(); err == nil && isClient(format) {
			names = append(names, p.Name)
		}
	}
	return names
}

func isClient(format core.Format) bool {
	_, ok := format.(core.ClientFormat)
	return ok
}

// find returns a format by its name: a built-in one, or that of a plugin in the configuration.
func (t *target) find(name string) (core.Protocol, core.Format, error) {
	p, known := protocolOf(name)
	if !known {
		return t.pluginOf(name)
	}
	format, err := p.Default()
	if err != nil {
		return p, nil, fmt.Errorf("making the format %s: %w", name, err)
	}
	return p, format, nil
}

func protocolOf(name string) (core.Protocol, bool) {
	for _, p := range polywire.Protocols() {
		if p.Name == name {
			return p, true
		}
	}
	return core.Protocol{}, false
}

func (t *target) load(log io.Writer) (*config.Config, error) {
	src, _, err := t.settings.file.source(os.Stdin)
	if err != nil {
		return nil, err
	}
	src.Env, src.Set = os.Environ(), t.settings.overrides
	return polywire.Load(src, slog.New(slog.NewTextHandler(log, nil)))
}

// options returns how to connect to what the first argument names, until close.
func (t *target) options(name string) (client.Options, error) {
	o := client.Options{Subprotocols: t.subprotocols, Header: make(http.Header)}
	address, protocol, found, err := t.address(name)
	if err != nil {
		return o, err
	}
	o.URL = address
	format, err := t.speaker(protocol, found)
	if err != nil {
		return o, err
	}
	o.Codec = format.NewClientCodec
	if t.byTopic {
		o.Codec = func() core.ClientCodec { return client.ByTopic(format.NewClientCodec()) }
	}
	for _, header := range t.headers {
		name, value, ok := strings.Cut(header, ":")
		if !ok {
			return o, fmt.Errorf(`--header %q: write "NAME: VALUE"`, header)
		}
		o.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if t.token != "" {
		o.Header.Set("Authorization", "Bearer "+t.token)
	}
	o.TLS, err = t.tls()
	return o, err
}

// address returns the URL of the WebSocket, and the format with its name.
func (t *target) address(name string) (address, protocol string, format core.Format, err error) {
	if !strings.Contains(name, ":") {
		return t.endpoint(name)
	}
	u, err := url.Parse(name)
	if plain := []string{"ws", "wss", "ws+unix", "wss+unix"}; err == nil && slices.Contains(plain, u.Scheme) {
		if t.protocol == "" {
			return "", "", nil, fmt.Errorf("%s:// does not name the format: add --protocol, or write %s://…; formats: %s",
				u.Scheme, protocolNames()[0], strings.Join(protocolNames(), ", "))
		}
		_, format, err := t.find(t.protocol)
		return name, t.protocol, format, err
	}
	if err != nil || u.Host == "" {
		return "", "", nil, fmt.Errorf("%q is no URL of a server, such as wsify://host:3000/ws", name)
	}
	scheme, secure := strings.CutSuffix(u.Scheme, "+tls")
	p, format, err := t.find(scheme)
	switch {
	case err != nil:
		return "", "", nil, err
	case t.protocol != "" && t.protocol != scheme:
		return "", "", nil, fmt.Errorf("the URL names the format %s, and --protocol the format %s", scheme, t.protocol)
	}
	if u.Scheme = "ws"; secure {
		u.Scheme = "wss"
	}
	if _, port, _ := net.SplitHostPort(p.Listen); u.Port() == "" && port != "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	u.Path = cmp.Or(u.Path, p.Path, "/")
	return u.String(), scheme, format, nil
}

func unknownFormat(name string) error {
	return fmt.Errorf("there is no format %q; formats: %s", name, strings.Join(protocolNames(), ", "))
}

// endpoint returns the URL and format of an endpoint of the configuration, on this machine.
func (t *target) endpoint(name string) (address, protocol string, format core.Format, err error) {
	cfg, err := t.load(os.Stderr)
	if err != nil {
		return "", "", nil, err
	}
	var names []string
	for i, info := range polywire.Endpoints(cfg) {
		if info.Name != name {
			names = append(names, info.Name)
			continue
		}
		if ep := &cfg.Endpoints[i]; ofPlugin(ep) {
			return info.URL, ep.Protocol, ep.Format, nil
		}
		_, format, err := t.find(info.Protocol)
		return info.URL, info.Protocol, format, err
	}
	slices.Sort(names)
	return "", "", nil, fmt.Errorf("%s has no endpoint %q; endpoints: %s", t.settings.file.path, name, strings.Join(names, ", "))
}

// tls returns the TLS of the connection.
func (t *target) tls() (*tls.Config, error) {
	c := &tls.Config{ServerName: t.serverName, InsecureSkipVerify: t.insecure}
	if t.ca != "" {
		var err error
		if c.RootCAs, err = authorities(t.ca); err != nil {
			return nil, err
		}
	}
	if (t.cert == "") != (t.key == "") {
		return nil, errors.New("--cert and --key belong together")
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("reading --cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// within returns a context for as long as something may take.
func (t *target) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, t.timeout)
}

// explain returns the error of the command for one that came within ctx.
func (t *target) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	f, _ := errors.AsType[core.Failure](err)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || f.Code == core.Timeout {
		return timedOut{err}
	}
	unsayable, ok := errors.AsType[*core.Unsayable](err)
	if ok && !t.byTopic && strings.Contains(unsayable.Closest, "topics for calls") {
		return fmt.Errorf("%w (--by-topic does that)", err)
	}
	return err
}
