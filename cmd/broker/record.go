package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/record"
)

// newRecord returns the command that records conversations.
func newRecord() *cobra.Command {
	var r recording
	cmd := &cobra.Command{
		Use:   "record {--listen ADDRESS --to TARGET | --endpoint NAME} -o FILE",
		Short: "Write down what clients and a server say to each other",
		Long: `record writes what clients and a server say to each other as a script that broker converse
plays against another server. It ends at an interrupt (Ctrl-C).

With --listen it stands between them: it passes on what clients that connect to --listen
and the server --to say, byte by byte. At --max-size and --max-time the recording ends, and
connections are passed on all the same.

With --endpoint it asks the running broker of the configuration, at its admin address, for
what an endpoint sees, and no client connects elsewhere. Connections that are open already
are left out. At --max-size and --max-time it ends, and so it does with the broker, and when a
reload closes or reopens the endpoint.

In the script ids and times that the server makes up are variables, and credentials are
left out: converse is given them with --set. Read the script before you give it away.
docs/recordings.md says what is recorded.

Exit code 1 says that the recording lacks something, because it was too slow or could not
be written.

` + targetHelp,
		Example: `  broker record --listen :9191 --to wubsub://127.0.0.1:9190/ -o session.txt
  broker record --listen :3001 --to ws://127.0.0.1:3000/ws --protocol wsify -o - --max-time 1h
  broker record --config config.yaml --endpoint web -o session.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			// Here it is a mistake in the command line.
			return cmp.Or(cobra.NoArgs(cmd, args), cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return r.run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	r.front.add(cmd)
	flags.StringVar(&r.to, "to", "", "the server, a TARGET")
	flags.StringVar(&r.endpoint, "endpoint", "", "the endpoint of the running broker that is recorded")
	flags.Var(&override{&r.target.settings, "admin", "admin.listen"}, "admin", "the admin address of the running broker, if it is not that of the configuration")
	flags.StringVar(&r.tokenFile, "token-file", "", "a file with the token for the admin server; default: that of the variable "+tokenVariable)
	flags.StringVarP(&r.file, "output", "o", "", "the file to write, which is replaced; - is standard output")
	flags.Int64Var(&r.maxSize, "max-size", 64<<20, "end the recording at so many bytes")
	flags.DurationVar(&r.maxTime, "max-time", 0, "end the recording after this time; 0 is never")
	flags.IntVar(&r.maxMessage, "max-message", 1<<20, "record messages of up to so many bytes")
	flags.IntVar(&r.maxConnections, "max-connections", 1000, "record so many connections, and not later ones")
	r.target.addServer(cmd)
	_ = cmd.MarkFlagRequired("output")
	_ = cmd.MarkFlagFilename("output")
	cmd.MarkFlagsOneRequired("listen", "endpoint")
	cmd.MarkFlagsRequiredTogether("listen", "to")
	for _, name := range []string{"listen", "to", "protocol", "ca", "cert", "key", "server-name", "insecure"} {
		cmd.MarkFlagsMutuallyExclusive("endpoint", name)
	}
	cmd.MarkFlagsMutuallyExclusive("admin", "listen")
	return cmd
}

// recording are the values of the flags.
type recording struct {
	target                     target
	front                      front
	to, endpoint, file         string
	tokenFile                  string
	maxSize                    int64
	maxTime                    time.Duration
	maxMessage, maxConnections int
}

// source is where a recording comes from.
type source struct {
	options record.Options
	about   string // what is recorded
	// record records until ctx ends. close comes in its place, or after it.
	record func(context.Context, record.Options) (record.Summary, error)
	close  func()
}

func (r *recording) run(ctx context.Context, out, log io.Writer) (err error) {
	if r.maxSize < 1 || r.maxMessage < 1 || r.maxConnections < 1 || r.maxTime < 0 {
		return errors.New("--max-size, --max-message and --max-connections must be at least 1, and --max-time not negative")
	}
	open := r.between
	if r.endpoint != "" {
		open = r.tapped
	}
	from, err := open(ctx)
	if err != nil {
		return err
	}
	defer from.close()
	o := from.options
	o.MaxSize, o.MaxTime, o.MaxMessage, o.MaxConnections = r.maxSize, r.maxTime, r.maxMessage, r.maxConnections
	o.Out = out
	if r.file != "-" {
		// What clients say is for nobody else to read.
		file, failed := os.OpenFile(r.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if failed != nil {
			return fmt.Errorf("writing the conversation: %w", failed)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		o.Out = file
	}
	live := newLive(log)
	o.Seen, o.Note = func(s record.Summary) { live.seen(summary(s)) }, live.note
	live.note("recording what clients say " + from.about + "; an interrupt ends it")
	seen, err := from.record(ctx, o)
	live.end(summary(seen))
	return err
}

// between records between clients and a server.
func (r *recording) between(ctx context.Context) (from source, err error) {
	address, protocol, format, err := r.target.address(r.to)
	if err != nil {
		return from, fmt.Errorf("--to: %w", err)
	}
	conf, err := r.target.tls()
	if err != nil {
		return from, err
	}
	o := record.Options{
		Server: client.SafeURL(address), Endpoint: protocol, Path: client.Path(address),
		Dial: func(ctx context.Context) (net.Conn, error) { return client.Reach(ctx, address, conf) },
	}
	o.Dissector, _ = format.(core.Dissector)
	l, tls, err := r.front.listen(ctx)
	if err != nil {
		return from, err
	}
	o.TLS = tls
	return source{
		options: o, about: fmt.Sprintf("at %s to %s", l.Addr(), o.Server),
		record: func(ctx context.Context, o record.Options) (record.Summary, error) {
			return record.New(o).Serve(ctx, l)
		},
		close: func() { _ = l.Close() }, // mostly it is closed already
	}, nil
}

func summary(s record.Summary) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d connections, %d requests, %d messages of clients, %d of the server; %d bytes written",
		s.Connections, s.Requests, s.Sent, s.Received, s.Bytes)
	for _, x := range []struct {
		count int
		what  string
	}{
		{s.Unreached, "answered 502"}, {s.TooLong, "messages too long"}, {s.Broken, "connections broken"}, {s.Lost, "connections LOST"}, {s.Unrecorded, "connections not recorded"},
	} {
		if x.count > 0 {
			fmt.Fprintf(&text, "; %d %s", x.count, x.what)
		}
	}
	return text.String()
}
