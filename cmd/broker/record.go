package main

import (
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
	"github.com/polywire/polywire/record"
)

// newRecord returns the command that records conversations.
func newRecord() *cobra.Command {
	var r recording
	cmd := &cobra.Command{
		Use:   "record --listen ADDRESS --to TARGET -o FILE",
		Short: "Stand between clients and a server, and write down what they say",
		Long: `record passes on what clients that connect to --listen and the server --to say to each
other, byte by byte, and writes it as a script that broker converse plays against another
server. It ends at an interrupt (Ctrl-C). At --max-size and --max-time the recording ends,
and connections are passed on all the same.

In the script ids and times that the server makes up are variables, and credentials are
left out: converse is given them with --set. Read the script before you give it away.
docs/recordings.md says what is recorded.

Exit code 1 says that the recording lacks something, because it was too slow or could not
be written.

` + targetHelp,
		Example: `  broker record --listen :9191 --to wubsub://127.0.0.1:9190/ -o session.txt
  broker record --listen :3001 --to ws://127.0.0.1:3000/ws --protocol wsify -o - --max-time 1h`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return err
			}
			return cmd.ValidateRequiredFlags() // here it is a mistake in the command line
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
	flags.StringVarP(&r.file, "output", "o", "", "the file to write, which is replaced; - is standard output")
	flags.Int64Var(&r.maxSize, "max-size", 64<<20, "end the recording at so many bytes")
	flags.DurationVar(&r.maxTime, "max-time", 0, "end the recording after this time; 0 is never")
	flags.IntVar(&r.maxMessage, "max-message", 1<<20, "record messages of up to so many bytes")
	flags.IntVar(&r.maxConnections, "max-connections", 1000, "record so many connections, and only pass on later ones")
	r.target.addServer(cmd)
	for _, name := range []string{"listen", "to", "output"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.MarkFlagFilename("output")
	return cmd
}

// recording are the values of the flags.
type recording struct {
	target                     target
	front                      front
	to, file                   string
	maxSize                    int64
	maxTime                    time.Duration
	maxMessage, maxConnections int
}

func (r *recording) run(ctx context.Context, out, log io.Writer) (err error) {
	if r.maxSize < 1 || r.maxMessage < 1 || r.maxConnections < 1 || r.maxTime < 0 {
		return errors.New("--max-size, --max-message and --max-connections must be at least 1, and --max-time not negative")
	}
	o, l, err := r.options(ctx)
	if err != nil {
		return err
	}
	o.Out = out
	if r.file != "-" {
		// What clients say is for nobody else to read.
		file, err := os.OpenFile(r.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			_ = l.Close()
			return fmt.Errorf("writing the conversation: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		o.Out = file
	}
	live := newLive(log)
	o.Seen, o.Note = func(s record.Summary) { live.seen(summary(s)) }, live.note
	live.note(fmt.Sprintf("recording what clients say at %s to %s; an interrupt ends it", l.Addr(), o.Server))
	seen, err := record.New(o).Serve(ctx, l)
	live.end(summary(seen))
	return err
}

// options returns what is recorded, and where clients connect.
func (r *recording) options(ctx context.Context) (o record.Options, l net.Listener, err error) {
	address, protocol, format, err := r.target.address(r.to)
	if err != nil {
		return o, nil, fmt.Errorf("--to: %w", err)
	}
	conf, err := r.target.tls()
	if err != nil {
		return o, nil, err
	}
	o = record.Options{
		Server: client.SafeURL(address), Endpoint: protocol, Path: client.Path(address),
		MaxSize: r.maxSize, MaxTime: r.maxTime, MaxMessage: r.maxMessage, MaxConnections: r.maxConnections,
		Dial: func(ctx context.Context) (net.Conn, error) { return client.Reach(ctx, address, conf) },
	}
	o.Dissector, _ = format.(core.Dissector)
	l, o.TLS, err = r.front.listen(ctx)
	return o, l, err
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
