package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/record"
)

// newTap returns the command that shows what an endpoint of the running broker sees.
func newTap() *cobra.Command {
	var t tapping
	cmd := &cobra.Command{
		Use:   "tap ENDPOINT",
		Short: "Show what an endpoint of the running broker sees, as it happens",
		Long: `tap asks the running broker, at the admin address of the configuration, for what an endpoint
sees, and prints a line for each message: the time, the connection's number (as connections
lists it), > for what the client says or < for what the broker says, and the message. Connections
that were open before are not shown. It ends at an interrupt (Ctrl-C).

Messages are shown as they are, with what is secret in them; record leaves that out.`,
		Example: `  broker tap --config config.yaml web
  broker tap --config config.yaml web --connection 7 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			o, err := t.settings.operator(cmd)
			if err != nil {
				return err
			}
			return t.run(ctx, o, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&t.connection, "connection", 0, "only what this connection says and hears")
	flags.IntVar(&t.maxMessage, "max-message", 64<<10, "show messages of up to so many bytes, and of longer ones their size")
	flags.BoolVar(&t.asJSON, "json", false, "print each event as a line of JSON")
	t.settings.addAsking(flags)
	return cmd
}

// tapping are the values of the flags.
type tapping struct {
	settings   settings
	connection uint64 // 0 is all
	maxMessage int
	asJSON     bool
}

func (t *tapping) run(ctx context.Context, o *operator, endpoint string, out, log io.Writer) error {
	if t.maxMessage < 0 {
		return errors.New("--max-message must not be negative")
	}
	stream, err := o.tap(ctx, endpoint, t.maxMessage)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	fmt.Fprintf(log, "showing what %s sees from now on; an interrupt ends it\n", endpoint)
	next := record.Events(stream, tapLine(t.maxMessage))
	for {
		ev, err := next()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case ev.Kind == core.TapOver:
			return fmt.Errorf("the tap has ended: %s", ev.Data)
		case t.connection != 0 && ev.Connection != t.connection:
			continue
		}
		if err := t.print(out, ev); err != nil {
			return err
		}
	}
}

// tapLine returns how long a line of a tap can be: each byte of a message may be escaped, and requests have a
// head besides.
func tapLine(maxMessage int) int { return 6*maxMessage + 1<<20 }

func (t *tapping) print(out io.Writer, ev core.TapEvent) error {
	if t.asJSON {
		line, err := ev.MarshalJSON()
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", line)
		}
		return err
	}
	arrow := ">"
	if ev.FromServer {
		arrow = "<"
	}
	_, err := fmt.Fprintf(out, "%s %d %s %s\n", ev.Time.Local().Format(time.TimeOnly+".000"), ev.Connection, arrow, tapText(ev))
	return err
}

// tapText returns an event for people.
func tapText(ev core.TapEvent) string {
	switch ev.Kind {
	case core.TapText, core.TapBinary:
		switch {
		case len(ev.Data) < ev.Size:
			return fmt.Sprintf("%s of %d bytes", ev.Kind, ev.Size)
		case ev.Kind == core.TapBinary:
			return "binary " + strconv.Quote(string(ev.Data))
		}
		return plain(string(ev.Data))
	case core.TapRequest, core.TapResponse:
		line, _, _ := bytes.Cut(ev.Data, []byte("\r\n"))
		return plain(string(line))
	case core.TapClose:
		if len(ev.Data) < 2 {
			return "closes"
		}
		return fmt.Sprintf("closes %d %s", binary.BigEndian.Uint16(ev.Data), plain(string(ev.Data[2:])))
	case core.TapFault:
		return "breaks the protocol: " + plain(string(ev.Data))
	case core.TapDropped:
		return fmt.Sprintf("a message of %d bytes is dropped: the client reads too slowly", ev.Size)
	case core.TapEnd:
		return "ends the connection"
	case core.TapLost:
		return fmt.Sprintf("%d events are missing here: they were not read fast enough", ev.Lost)
	}
	return string(ev.Kind)
}

// tap asks for a tap, which ends with ctx.
func (o *operator) tap(ctx context.Context, endpoint string, maxMessage int) (stream io.ReadCloser, err error) {
	response, err := o.send(ctx, http.MethodGet, "/v1/tap", url.Values{"endpoint": {endpoint}, "max_message": {strconv.Itoa(maxMessage)}})
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the broker's answer: %w", err)
	}
	if response.StatusCode == http.StatusNotFound && string(bytes.TrimSpace(text)) == "404 page not found" {
		return nil, errors.New("the running broker has no taps: it is older than this program")
	}
	return nil, refusedBy(response.StatusCode, text)
}
